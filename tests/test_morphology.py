from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from partae.checks import InputError
from partae.footprint import build, disk
from partae.morphology import (
    OPERATORS,
    WITH_GRADIENT,
    Operator,
    dilation,
    places_of_extrema,
    read_operator,
    read_operators,
)

BY_SCIPY = {
    "dilation": ndimage.grey_dilation,
    "erosion": ndimage.grey_erosion,
}
CROSS = "010.111.010"


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_with_a_gradient_equal_those_without(name: str, radius: int, precision: torch.dtype) -> None:
    images, each = torch.randn(3, 2, 13, 9, dtype=precision), Operator(name, radius)
    images[0] = 1 + images[0] * torch.finfo(precision).eps  # hardly apart
    with torch.no_grad():
        expected = each(images)
    torch.testing.assert_close(each(images), expected, rtol=0, atol=0)


def spaced(*shape: int) -> Tensor:
    """Images without two equal pixels, nor any that a small step would make equal."""
    count = math.prod(shape)
    return (torch.randperm(count, generator=torch.Generator().manual_seed(0)) / count - 0.5).view(shape)


@pytest.mark.parametrize(("precision", "step", "tolerance"), [(torch.float32, 1e-3, 1e-2), (torch.float64, 1e-6, 1e-5)])
@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.filterwarnings("ignore:Input .* not a double precision")
def test_the_gradient_flows_through_operators(
    name: str, radius: int, precision: torch.dtype, step: float, tolerance: float
) -> None:
    images = spaced(2, 1, 6, 5).to(precision).requires_grad_()
    assert torch.autograd.gradcheck(Operator(name, radius), images, eps=step, atol=tolerance)


@pytest.mark.parametrize("value", [0.0, 0.5])
@pytest.mark.parametrize("name", WITH_GRADIENT)
def test_of_equal_pixels_the_gradient_goes_to_the_one_in_the_middle(name: str, value: float) -> None:
    images, weights = torch.full((2, 1, 6, 5), value, requires_grad=True), torch.rand(2, 1, 6, 5)
    (gradient,) = torch.autograd.grad((weights * Operator(name, 2)(images)).sum(), images)
    torch.testing.assert_close(gradient, weights, rtol=0, atol=0)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_with_a_gradient_take_half_precision(name: str, precision: torch.dtype) -> None:
    images = torch.randn(2, 1, 60, 50).to(precision)
    expected = Operator(name, 2)(images.float()).to(precision)
    torch.testing.assert_close(Operator(name, 2)(images), expected, rtol=0, atol=0)


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7FFFFFFF, 0xFFC00000, 0xFFFFFFFF])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", BY_SCIPY)
def test_what_is_not_a_number_spreads_as_by_kornia(name: str, precision: torch.dtype, bits: int) -> None:
    images = torch.randn(2, 1, 6, 5)
    images[0, 0, 2, 4] = torch.tensor([bits], dtype=torch.uint32).view(torch.float32)
    images = images.to(precision)
    operated = Operator(name, 1)(images)
    torch.testing.assert_close(operated, OPERATORS[name](images, disk(1)), rtol=0, atol=0, equal_nan=True)
    assert operated.isnan().sum() == 4


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "value"), [("dilation", -math.inf), ("erosion", math.inf)])
def test_infinite_pixels_are_operated_on(name: str, value: float, precision: torch.dtype) -> None:
    images = torch.randn(1, 1, 6, 5, dtype=precision)
    images[0, 0, 1], images[0, 0, 4, 4], images[0, 0, 4, 3] = value, -value, -torch.finfo(precision).max
    footprint = disk(2).numpy().astype(bool)
    expected = BY_SCIPY[name](images[0, 0].numpy(), footprint=footprint, mode="constant", cval=value)
    np.testing.assert_array_equal(Operator(name, 2)(images)[0, 0].numpy(), expected)


@pytest.mark.parametrize(("name", "total"), [("dilation", 3), ("erosion", 0)])
def test_small_numbers_are_told_apart_by_a_processor_that_takes_subnormal_ones_for_0(name: str, total: int) -> None:
    images = torch.zeros(1, 1, 6, 5)
    images[0, 0, 0, 0] = 1
    try:
        torch.set_flush_denormal(True)
        operated = Operator(name, 1)(images)
    finally:
        torch.set_flush_denormal(False)
    assert operated.sum() == total


@pytest.mark.parametrize("name", OPERATORS)
def test_gradients_are_mapped_over_and_taken_again(name: str) -> None:
    atoms, weights = spaced(3, 2, 1, 5, 4), torch.rand(2, 1, 5, 4)

    def loss(atoms: Tensor) -> Tensor:
        return (weights.to(atoms) * Operator(name, 1)(atoms) ** 2).sum()

    for transform in (torch.func.grad, lambda f: torch.func.grad(lambda x: torch.func.grad(f)(x).sum())):
        together = torch.func.vmap(transform(loss))(atoms)
        for own, expected in zip(together, atoms.double(), strict=True):
            torch.testing.assert_close(own.double(), transform(loss)(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.bool])
def test_images_of_whole_numbers_are_refused(kind: torch.dtype, training: bool) -> None:
    images = torch.ones(1, 1, 3, 3, dtype=kind)
    with torch.set_grad_enabled(training):
        with pytest.raises(InputError, match=f"erosion:1 needs images of floats; got {kind}"):
            Operator("erosion", 1)(images)
        advice = "$" if kind == torch.bool else r": divide images in \[0, 255\]"
        with pytest.raises(InputError, match=rf"erosion:1 needs images of floats; got \w+{advice}"):
            Operator("erosion", 1)(images.numpy())


@given(st.sampled_from(sorted(BY_SCIPY)), st.integers(0, 7), st.integers(1, 6), st.integers(1, 6))
def test_a_disk_of_any_size_on_an_image_of_any_size_equals_scipy(
    name: str, radius: int, height: int, width: int
) -> None:
    images = torch.randn(2, 3, height, width)
    footprint = disk(radius).numpy().astype(bool)[None, None]
    outside = -np.inf if name == "dilation" else np.inf
    expected = BY_SCIPY[name](images.numpy(), footprint=footprint, mode="constant", cval=outside)
    for training in (True, False):
        with torch.set_grad_enabled(training):
            np.testing.assert_array_equal(Operator(name, radius)(images).numpy(), expected)


def by_scipy(images: np.ndarray, footprint: np.ndarray) -> dict[str, np.ndarray]:
    """All seven operators, of two of SciPy's: those that it composes itself count pixels outside the image."""

    def apply(name: str, images: np.ndarray) -> np.ndarray:
        outside = -np.inf if name == "dilation" else np.inf
        return BY_SCIPY[name](images, footprint=footprint[None, None], mode="constant", cval=outside)

    dilated, eroded = apply("dilation", images), apply("erosion", images)
    opened, closed = apply("dilation", eroded), apply("erosion", dilated)
    return {
        "dilation": dilated,
        "erosion": eroded,
        "opening": opened,
        "closing": closed,
        "gradient": dilated - eroded,
        "top_hat": images - opened,
        "bottom_hat": closed - images,
    }


def test_all_operators_equal_scipy_for_200_random_footprints() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        images = generator.standard_normal((1, 2, *generator.integers(1, 9, 2)), np.float32)
        footprint = generator.random(generator.integers(1, 7, 2)) < generator.random()
        footprint[footprint.shape[0] // 2, footprint.shape[1] // 2] = True
        rows = ".".join("".join(map(str, row)) for row in footprint.astype(int))
        expected = by_scipy(images, footprint)
        assert expected.keys() == OPERATORS.keys()
        for name, training in product(OPERATORS, (True, False)):
            with torch.set_grad_enabled(training):
                found = read_operator(f"{name}:any={rows}")(torch.from_numpy(images))
            np.testing.assert_array_equal(found.numpy(), expected[name], err_msg=f"{name} {rows} {training}")


@pytest.mark.parametrize("element", ["square:2", "diamond:3", "line:5@45", "line:7@100"])
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_by_other_shapes_have_the_gradient_and_the_values_of_scipy(name: str, element: str) -> None:
    images = spaced(2, 1, 6, 5).double().requires_grad_()
    each = read_operator(f"{name}:{element}")
    expected = by_scipy(images.detach().numpy(), build(element, 11).numpy() > 0)
    np.testing.assert_array_equal(each(images).detach().numpy(), expected[name])
    assert torch.autograd.gradcheck(each, images)


def test_an_operator_is_called_by_its_name_and_element() -> None:
    for other in (dilation, 2, None):
        with pytest.raises(InputError, match="an operator is given as"):
            read_operator(other)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="operators are given as a list"):
        read_operators("dilation:1")
    assert str(read_operator("dilation:disk:2")) == "dilation:2"
    assert read_operator("dilation:disk:2") == dilation(2)
    assert str(read_operator("top_hat:line:5@225")) == "top_hat:line:5@45"
    each = read_operator("opening:corner=110.110.000")
    assert str(each) == "opening:corner-3a95852a"
    assert read_operator(each.text) == each


@pytest.mark.parametrize(("name", "radius"), [("blur", 1), ("dilation", -1), ("dilation", 1.5)])
def test_unknown_operators_are_refused(name: str, radius: int) -> None:
    with pytest.raises(InputError, match="operators"):
        Operator(name, radius)


@pytest.mark.parametrize(
    "text",
    [
        "dilation",
        "dilation:",
        "dilation:one",
        "dilation:-1",
        "dilation:oval:1",
        "top_hat:line:4@0",
        "dilation:ring=11.10.1",
        "dilation:ring=111.101.111",
        "blur:1",
        "",
    ],
)
def test_operators_of_the_command_line_are_refused_with_their_text(text: str) -> None:
    with pytest.raises(InputError, match="operators"):
        read_operator(text)


@pytest.mark.parametrize("name", WITH_GRADIENT)
@pytest.mark.parametrize("training", [True, False])
def test_a_disk_larger_than_the_image_takes_no_more_memory_than_one_that_covers_it(name: str, training: bool) -> None:
    images = torch.rand(2, 1, 4, 3)
    extreme = images.amax if name in ("dilation", "closing") else images.amin
    with torch.set_grad_enabled(training):
        assert Operator(name, 10**9)(images).equal(extreme(dim=(2, 3), keepdim=True).expand_as(images))


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_pytorch_finds_nothing_wrong_with_the_operator(precision: torch.dtype) -> None:
    images = torch.randn(3, 2, 5, 4, dtype=precision)
    for given_ in (images, images.transpose(2, 3), images[:, :, ::2], images[:0]):
        torch.library.opcheck(places_of_extrema, (given_, CROSS, True))
        assert places_of_extrema(given_, CROSS, True).equal(places_of_extrema(given_.contiguous(), CROSS, True))


def test_an_operator_takes_arrays_too() -> None:
    images = np.random.default_rng(0).random((2, 1, 5, 5), np.float32)
    dilated = dilation(1)(images)
    assert isinstance(dilated, np.ndarray)
    np.testing.assert_array_equal(dilated, dilation(1)(torch.from_numpy(images)).numpy())


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((5, 784), r"\(B, C, H, W\); got \(5, 784\)"),
        ((5, 28, 28), r"\(B, C, H, W\); got \(5, 28, 28\)"),
        ((5, 28, 28, 1), r"got \(5, 28, 28, 1\): put their axes in the order \(0, 3, 1, 2\)"),
    ],
)
@pytest.mark.parametrize("kind", [torch.zeros, np.zeros], ids=["tensor", "array"])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...], words: str, kind: Any) -> None:
    with pytest.raises(InputError, match=words):
        dilation(1)(kind(shape))
