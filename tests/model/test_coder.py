from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import lstsq
from scipy.optimize import nnls
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, sparse_encode
from torch import Tensor

from partae.checks import InputError
from partae.metrics import hoyer_sparsity
from partae.model import LeastSquares, Nearest, NonNegativeLeastSquares

SHAPE = (2, 3, 4)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(20, *SHAPE, dtype=torch.float64)


@pytest.fixture
def atoms() -> Tensor:
    return torch.rand(5, *SHAPE, dtype=torch.float64)


def zero() -> Tensor:
    return torch.zeros(SHAPE, dtype=torch.float64)


def test_least_squares_around_the_mean_are_the_code_of_pca(images: Tensor) -> None:
    pca = PCA(5).fit(images.flatten(1).numpy())
    code = LeastSquares()(images, torch.tensor(pca.components_).view(5, *SHAPE), torch.tensor(pca.mean_).view(SHAPE))
    np.testing.assert_allclose(code.numpy(), pca.transform(images.flatten(1).numpy()), atol=1e-12)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
@pytest.mark.parametrize("rank", [1, 3, 5])
def test_least_squares_are_those_of_scipy_for_atoms_of_any_rank(
    rank: int, precision: torch.dtype, images: Tensor
) -> None:
    atoms = (torch.rand(5, rank, dtype=torch.float64) @ torch.rand(rank, 24, dtype=torch.float64)).to(precision)
    bias = torch.full(SHAPE, 0.2, dtype=precision)
    code = LeastSquares()(images.to(precision), atoms.view(5, *SHAPE), bias)
    expected = lstsq(atoms.T.double().numpy(), (images - 0.2).flatten(1).T.numpy(), cond=1e-5)[0].T
    np.testing.assert_allclose(code.numpy(), expected, rtol=1e-3, atol=1e-3)


def test_nonnegative_least_squares_are_those_of_scipy(images: Tensor, atoms: Tensor) -> None:
    bias = torch.full(SHAPE, 0.2, dtype=torch.float64)
    code = NonNegativeLeastSquares()(images, atoms, bias)
    theirs = [nnls(atoms.flatten(1).T.numpy(), image.numpy())[0] for image in (images - bias).flatten(1)]
    np.testing.assert_allclose(code.numpy(), np.array(theirs), atol=1e-6)


def test_a_code_that_pays_for_its_entries_is_the_lasso_of_scikit_learn(images: Tensor, atoms: Tensor) -> None:
    code = NonNegativeLeastSquares(l1=0.5)(images, atoms, zero())
    arrays = images.flatten(1).numpy(), atoms.flatten(1).numpy()
    theirs = sparse_encode(*arrays, algorithm="lasso_cd", alpha=0.5, positive=True, max_iter=10_000)
    np.testing.assert_allclose(code.numpy(), theirs, atol=1e-3)
    assert code.sum() < NonNegativeLeastSquares()(images, atoms, zero()).sum()


def test_a_sparseness_holds_for_each_image(images: Tensor, atoms: Tensor) -> None:
    code = NonNegativeLeastSquares(sparseness=0.7)(images, atoms, zero())
    torch.testing.assert_close(hoyer_sparsity(code), torch.full((20,), 0.7, dtype=torch.float64), atol=1e-4, rtol=0)


def test_the_nearest_atom_is_the_cluster_of_k_means(images: Tensor) -> None:
    kmeans = KMeans(5, n_init=1, random_state=0).fit(images.flatten(1).numpy())
    centers = torch.tensor(kmeans.cluster_centers_).view(5, *SHAPE)
    code = Nearest()(images, centers, zero())
    assert (code.sum(dim=1) == 1).all()
    assert code.argmax(dim=1).tolist() == kmeans.labels_.tolist()


@pytest.mark.parametrize("arguments", [{"l1": -1.0}, {"sparseness": 1.5}])
def test_arguments_out_of_range_are_named(arguments: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"model.encoder.{next(iter(arguments))}"):
        NonNegativeLeastSquares(**arguments)
