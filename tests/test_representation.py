from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from partae import AutoEncoder, dilation
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.morphology import operator
from partae.representation import Representation


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


@pytest.fixture
def model() -> Representation:
    return AutoEncoder(Dense((1, 4, 4), 3), Dictionary((1, 4, 4), 3)).eval().requires_grad_(False)


def test_the_verbs_give_the_kind_of_array_that_they_take(model: Representation) -> None:
    images = torch.rand(5, 1, 4, 4)
    code = model.encode(images)
    for verb, given in (
        (model.encode, images),
        (model.decode, code),
        (model.reconstruct, images),
        (partial(model.max_approximation, operator=dilation(1)), images),
        (partial(model.max_approximation_of_code, operator=dilation(1)), code),
    ):
        expected = verb(given)
        assert isinstance(expected, torch.Tensor)
        # as numpy makes them: in double precision, and with rows that run backwards
        for array in (given.numpy(), given.double().numpy(), given.numpy()[:, ::-1][:, ::-1]):
            found = verb(array)
            assert isinstance(found, np.ndarray)
            np.testing.assert_array_equal(found, expected.numpy())
    assert np.asarray(model.atoms).shape == (3, 1, 4, 4)


def test_bytes_are_no_images(model: Representation) -> None:
    with pytest.raises(InputError, match=r"encode needs images in \[0, 1\], of floats; got uint8"):
        model.encode(np.full((1, 1, 4, 4), 255, dtype=np.uint8))
    with pytest.raises(InputError, match=r"encode needs images in \[0, 1\], of floats; got torch.uint8"):
        model.max_approximation(torch.full((1, 1, 4, 4), 255, dtype=torch.uint8), dilation(1))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            255 * np.ones((2, 1, 4, 4), np.float32),
            r"encode needs images in \[0, 1\]; got values from 255 to 255: divide",
        ),
        (np.full((2, 1, 4, 4), -0.5), r"got values from -0\.5 to -0\.5"),
        (np.full((2, 1, 4, 4), np.nan), "got values from nan to nan"),
        (np.ones((2, 3, 4, 4)), r"encode needs images of shape \(B, 1, 4, 4\); got \(2, 3, 4, 4\)"),
        (np.ones((1, 4, 4)), r"encode needs images of shape \(B, 1, 4, 4\); got \(1, 4, 4\)"),
        (np.ones((2, 16)), r"encode needs images of shape \(B, 1, 4, 4\); got \(2, 16\)"),
    ],
)
def test_images_of_another_range_or_shape_are_refused_by_every_verb(
    model: Representation, images: np.ndarray, message: str
) -> None:
    given: Any
    for given in (images, torch.from_numpy(images)):
        for verb in (model.encode, model.reconstruct, partial(model.max_approximation, operator=dilation(1))):
            with pytest.raises(InputError, match=message):
                verb(given)
    rounded = np.full((1, 1, 4, 4), 1 + 1e-6)
    assert model.encode(rounded).shape == (1, 3)


@pytest.mark.parametrize("code", [np.ones((2, 4)), np.ones(3), np.ones((1, 1, 3))], ids=lambda code: str(code.shape))
def test_a_code_of_another_shape_is_refused(model: Representation, code: np.ndarray) -> None:
    for verb in (model.decode, partial(model.max_approximation_of_code, operator=dilation(1))):
        with pytest.raises(InputError, match=r"decode needs a code of shape \(B, 3\); got"):
            verb(code)


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


@pytest.mark.parametrize("name", ["gradient", "top_hat", "bottom_hat"])
def test_a_difference_of_operators_is_rendered_as_the_difference_of_two_renderings(name: str) -> None:
    linear = TwoSquares()
    code, each = torch.tensor([[0.25, 1.0], [0.5, 0.0]]), operator(f"{name}:diamond:1")
    torch.testing.assert_close(linear.render(code, each), linear.decode(code, each(linear.atoms)))

    class Levelled(TwoSquares):
        """Its bias and its activation do not commute with a difference."""

        def _decode(self, code: Tensor, atoms: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
            return torch.sigmoid(super()._decode(code, atoms) - 1)

    model = Levelled()
    reconstruction = model.decode(code)
    torch.testing.assert_close(model.render(code, each), each(reconstruction))
    assert (model.decode(code, each(model.atoms)) - each(reconstruction)).abs().min() > 0.1
