"""What the steps reach: known parts, and the errors of other libraries."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import ConvergenceWarning

from partae.data import Bars, Swimmer
from partae.metrics import part_recovery
from partae.nmf import SparseNMF
from tests.nmf.test_sparse_nmf import random_images


def test_without_sparseness_the_error_is_that_of_scikit_learn() -> None:
    images = random_images(shape=(100, 40))
    ours = SparseNMF(6, random_state=0, max_iter=300, tol=0).fit(images)
    theirs = NMF(6, init="random", random_state=0, max_iter=300, tol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(images.numpy())
    assert ours.reconstruction_err_ <= 1.02 * theirs.reconstruction_err_


def test_swimmer_is_taken_apart_and_not_by_principal_components() -> None:
    swimmer = Swimmer()
    images, _ = swimmer.load("train")
    model = SparseNMF(16, sparseness_of_code=0.5, random_state=0).fit(images.flatten(1))
    recovery = part_recovery(model.components_.view(-1, 1, 32, 32), swimmer.parts, swimmer.torso > 0)
    assert (recovery >= 0.95).sum() >= 15
    axes = torch.from_numpy(PCA(16).fit(images.flatten(1).numpy()).components_).view(-1, 1, 32, 32)
    either_sign = part_recovery(torch.cat([axes, -axes]), swimmer.parts, swimmer.torso > 0)
    assert (either_sign >= 0.95).sum() == 0


@pytest.mark.parametrize("arguments", [{}, {"sparseness_of_code": 0.5}])
def test_all_bars_are_recovered(arguments: dict[str, Any]) -> None:
    bars = Bars()
    images, _ = bars.load("train")
    model = SparseNMF(16, random_state=0, **arguments).fit(images.flatten(1))
    assert part_recovery(model.components_.view(-1, 1, 8, 8), bars.parts).min() >= 0.95


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("sparseness", [(0.6, None), (None, 0.6), (0.5, 0.5)])
def test_the_error_is_at_or_below_that_of_torchnmf(sparseness: tuple[float | None, float | None]) -> None:
    from torchnmf.nmf import NMF as TorchNMF  # noqa: N811

    images = random_images(shape=(200, 60), rank=15).float()
    of_code, of_atoms = sparseness
    ours = SparseNMF(
        10, sparseness_of_code=of_code, sparseness_of_atoms=of_atoms, max_iter=200, tol=0, random_state=0
    ).fit(images)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = TorchNMF(images.shape, 10)
    theirs.sparse_fit(images, beta=2, max_iter=200, sH=of_code, sW=of_atoms)
    assert ours.reconstruction_err_ <= float((images - theirs().detach()).norm())
