from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from partae.checks import InputError
from partae.morphology import OPERATORS, Operator, dilation, disk, operator, places_of_extrema
from partae.representation import Representation

BY_SCIPY = {
    "dilation": ndimage.grey_dilation,
    "erosion": ndimage.grey_erosion,
}


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5])
def test_disk_holds_the_pixels_within_the_radius(radius: int) -> None:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    np.testing.assert_array_equal(disk(radius).numpy(), np.hypot(x, y) <= radius)


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
@pytest.mark.parametrize("name", OPERATORS)
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
        with pytest.raises(InputError, match=f"erosion:1 needs images of floats; got {kind}"):
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


def test_opening_and_closing_are_compositions() -> None:
    images = torch.rand(2, 1, 10, 10)
    eroded, dilated = Operator("erosion", 2), Operator("dilation", 2)
    torch.testing.assert_close(Operator("opening", 2)(images), dilated(eroded(images)), rtol=0, atol=0)
    torch.testing.assert_close(Operator("closing", 2)(images), eroded(dilated(images)), rtol=0, atol=0)


@pytest.mark.parametrize(("name", "radius"), [("blur", 1), ("dilation", -1), ("dilation", 1.5)])
def test_unknown_operators_are_refused(name: str, radius: int) -> None:
    with pytest.raises(InputError, match="operators"):
        Operator(name, radius)


@pytest.mark.parametrize("text", ["dilation", "dilation:", "dilation:one", "dilation:-1", "blur:1", ""])
def test_operators_of_the_command_line_are_refused_with_their_text(text: str) -> None:
    with pytest.raises(InputError, match="operators"):
        operator(text)


class TwoSquares(Representation):
    """A decoder built by hand: two atoms of one pixel each, the code is those pixels."""

    @property
    def atoms(self) -> Tensor:
        atoms = torch.zeros(2, 1, 5, 5)
        atoms[0, 0, 1, 1] = atoms[1, 0, 3, 3] = 1
        return atoms

    def _encode(self, images: Tensor) -> Tensor:
        return images[:, 0, [1, 3], [1, 3]]

    def _decode(self, code: Tensor, atoms: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        return torch.einsum("bk,kchw->bchw", code, self.atoms if atoms is None else atoms)


def test_max_approximation_is_exact_where_atoms_are_disjoint_and_a_sum_where_they_meet() -> None:
    model = TwoSquares()
    images = model.decode(torch.tensor([[0.25, 1.0]]))
    torch.testing.assert_close(model.reconstruct(images), images)

    code = model.encode(images)
    exact = model.render(code, dilation(1))
    torch.testing.assert_close(exact, dilation(1)(images))

    met = model.render(code, dilation(2))[0, 0, 2, 2]
    assert met == 1.25  # both dilated atoms reach the middle: their sum, where the true dilation has their maximum, 1
    assert dilation(2)(images)[0, 0, 2, 2] == 1


@pytest.mark.parametrize("name", OPERATORS)
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
        torch.library.opcheck(places_of_extrema, (given_, 2, True))
        assert places_of_extrema(given_, 2, True).equal(places_of_extrema(given_.contiguous(), 2, True))


def test_an_operator_takes_arrays_too() -> None:
    images = np.random.default_rng(0).random((2, 1, 5, 5), np.float32)
    dilated = dilation(1)(images)
    assert isinstance(dilated, np.ndarray)
    np.testing.assert_array_equal(dilated, dilation(1)(torch.from_numpy(images)).numpy())
