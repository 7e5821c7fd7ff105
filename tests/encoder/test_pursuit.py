from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from sklearn.linear_model import orthogonal_mp
from torch import Tensor

from partae import AutoEncoder
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import MatchingPursuit, pursue
from partae.sparsity import L1

SHAPE = (1, 6, 6)


def problem(atoms: int = 20, pixels: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    """Images (30, F), atoms (K, F) that are far apart, and the code (30, K) of 4 entries that made the images."""
    dictionary = torch.randn(atoms, pixels, dtype=torch.float64) * torch.linspace(0.5, 2, atoms)[:, None]
    code = torch.zeros(30, atoms, dtype=torch.float64)
    code.scatter_(1, torch.rand(30, atoms).topk(4).indices, torch.rand(30, 4, dtype=torch.float64) + 0.5)
    return code @ dictionary, dictionary, code


def test_the_entries_that_made_an_image_are_found_as_scikit_learn_finds_them() -> None:
    images, atoms, code = problem()
    found = pursue(images, atoms, l0=4)
    theirs = orthogonal_mp(atoms.T.numpy(), images.T.numpy(), n_nonzero_coefs=4).T
    assert ((found > 0) == (code > 0)).all()
    np.testing.assert_allclose(found, theirs, atol=0.01)


@pytest.mark.parametrize("l0", [1, 3, 8])
def test_a_code_has_few_entries_and_none_below_0_and_more_of_them_lower_the_error(l0: int) -> None:
    images, atoms = torch.rand(50, 36), torch.rand(8, 36)
    less, code = (pursue(images, atoms, number) for number in (l0 - 1, l0))
    assert code.min() >= 0
    assert (code > 0).sum(dim=1).max() <= l0
    errors = [(each @ atoms - images).square().sum(dim=1) for each in (less, code)]
    assert (errors[1] <= errors[0] + 1e-5).all()


def test_with_all_atoms_it_comes_near_non_negative_least_squares() -> None:
    images, atoms = torch.rand(50, 36, dtype=torch.float64), torch.rand(8, 36, dtype=torch.float64)
    least = sum(nnls(atoms.T.numpy(), image)[1] ** 2 for image in images.numpy())
    ours = (pursue(images, atoms, 8) @ atoms - images).square().sum().item()
    assert least <= ours < 1.01 * least


def test_a_code_depends_neither_on_other_images_nor_on_the_norm_of_an_atom_and_an_atom_of_0_is_left_out() -> None:
    images, atoms, _ = problem()
    code = pursue(images, atoms, 5)
    torch.testing.assert_close(pursue(images[3:4], atoms, 5), code[3:4])
    factors = torch.linspace(0.1, 10, 20, dtype=torch.float64)
    torch.testing.assert_close(pursue(images, factors[:, None] * atoms, 5) * factors, code)
    atoms[0] = 0
    silent = pursue(images, atoms, 20)
    assert silent.isfinite().all()
    assert not silent[:, 0].any()


def test_the_atoms_learn_and_nothing_else_does() -> None:
    model = AutoEncoder(MatchingPursuit(2), Dictionary(SHAPE, 5, "identity", biased=False))
    images = torch.rand(40, *SHAPE)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(model.losses(images)["reconstruction"])
        losses[-1].backward()
        optimizer.step()
    assert [name for name, weight in model.named_parameters() if weight.grad is not None] == ["decoder.atoms"]
    assert losses[-1] < 0.8 * losses[0]


def test_what_would_have_no_effect_or_is_not_coded_is_refused() -> None:
    with pytest.raises(InputError, match=r"choose decoder\.biased=false"):
        AutoEncoder(MatchingPursuit(2), Dictionary(SHAPE, 5))
    with pytest.raises(InputError, match=r"choose sparsity=none; got L1"):
        AutoEncoder(MatchingPursuit(2), Dictionary(SHAPE, 5, biased=False), sparsity=L1())
    with pytest.raises(InputError, match=r"encoder\.l0 must be a whole number, at least 1 and at most 1000; got 0"):
        MatchingPursuit(0)
