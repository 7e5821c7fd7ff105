from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from partae import AutoEncoder, Granulometry, Operator, granulometry
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.footprint import disk
from partae.model import Factorization, LeastSquares

RADII = [0, 1, 2, 4]
OPERATORS = {
    "opening": ndimage.grey_opening,
    "closing": ndimage.grey_closing,
    "dilation": ndimage.grey_dilation,
    "erosion": ndimage.grey_erosion,
}


def true_volumes(images: Tensor, operator: str) -> np.ndarray:
    """The sums over pixels by scipy, of images that are black near their borders."""
    operate: Any = OPERATORS[operator]
    return np.stack(
        [
            [operate(channels, footprint=disk(radius).numpy()[None]).sum() for radius in RADII]
            for channels in images.double().numpy()
        ]
    )


@pytest.fixture(scope="module")
def far_apart() -> Factorization:
    """Four atoms that stay apart when they are operated on: squares of 1, 3, 5 and 9 pixels, the last less a corner."""
    atoms = torch.zeros(4, 1, 64, 64)
    for atom, (size, corner) in zip(atoms, [(1, 8), (3, 16), (5, 26), (9, 42)], strict=True):
        atom[0, corner : corner + size, corner : corner + size] = torch.rand(size, size)
    atoms[3, 0, 42, 42] = 0
    model = Factorization(LeastSquares(), Dictionary((1, 64, 64), 4, activation="identity")).eval()
    model.decoder.atoms.requires_grad_(False).copy_(atoms)
    return model


@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_exact_where_atoms_lie_far_apart(far_apart: Factorization, operator: str) -> None:
    images, test = (torch.einsum("nk,kchw->nchw", torch.rand(n, 4), far_apart.atoms) for n in (40, 8))
    found = Granulometry(far_apart, images, RADII, operator)
    expected = true_volumes(test, operator)
    np.testing.assert_allclose(found(test).numpy(), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.weights.numpy().T, true_volumes(far_apart.atoms, operator), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.constants.numpy(), 0, atol=1e-4)
    again = granulometry(far_apart, test.numpy(), RADII, training=images.numpy(), operator=operator)
    np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def dense() -> AutoEncoder:
    shape = (2, 6, 6)
    return AutoEncoder(Dense(shape, 3, hidden=[4], batch_norm=True), Dictionary(shape, 3)).requires_grad_(False)


def test_no_other_weights_have_a_smaller_squared_error(dense: AutoEncoder) -> None:
    images = torch.rand(60, 2, 6, 6) ** 3
    found = Granulometry(dense, images, [1, 2])
    assert dense.training
    dense.eval()
    code = dense.encode(images)
    errors = found(images) - torch.stack([Operator("opening", r)(images).sum((1, 2, 3)) for r in (1, 2)], dim=1)
    assert errors.abs().max() > 0.1
    torch.testing.assert_close(errors.mean(dim=0), torch.zeros(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(code.T @ errors / len(code), torch.zeros(3, 2), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.of_code(code.mean(dim=0)[None])[0], found(images).mean(dim=0))


def test_an_atom_that_no_code_uses_weighs_nothing(far_apart: Factorization) -> None:
    images = torch.einsum("nk,kchw->nchw", torch.rand(40, 3), far_apart.atoms[:3])
    assert Granulometry(far_apart, images, RADII).weights[:, 3].abs().max() < 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"training": torch.rand(29, 2, 6, 6)}, "30 training images for 3 atoms; got 29"),
        ({"training": torch.full((30, 2, 6, 6), 255.0)}, "divide images"),
        ({"radii": []}, "at least one radius"),
        ({"radii": [-1]}, "radius of operators must be a whole number, at least 0; got -1"),
        ({"operator": "blur"}, "operators must be among"),
    ],
)
def test_what_it_cannot_be_fitted_to_is_refused(dense: AutoEncoder, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Granulometry(**{"model": dense, "training": torch.rand(30, 2, 6, 6), "radii": [1], **arguments})


def test_a_code_of_another_model_is_refused(dense: AutoEncoder) -> None:
    found = Granulometry(dense, torch.rand(30, 2, 6, 6), [1])
    with pytest.raises(InputError, match=r"shape \(B, 3\); got \(5, 4\)"):
        found.of_code(torch.rand(5, 4))
