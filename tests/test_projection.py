from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from partae import projection
from partae.checks import InputError
from partae.metrics import hoyer_sparsity
from partae.projection import hoyer

Floats = NDArray[np.float64]
Projection = Callable[[Tensor], Tensor]

# how a general solver reaches every point of each set, from free coordinates
SETS: dict[Projection, Projection] = {
    projection.nonnegative: torch.square,
    projection.unit_interval: lambda x: x.sin().square(),
    projection.unit_norm: lambda x: x / x.norm(),
}
IDS = [project.__name__ for project in SETS]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("project", SETS, ids=IDS)
def test_a_projection_is_the_nearest_point_that_scipy_finds(project: Projection, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    point = torch.randn(1, 1, 2, 3, dtype=torch.float64, generator=generator)

    def distance(coordinates: Floats) -> tuple[float, Floats]:
        free = torch.tensor(coordinates, requires_grad=True)
        value = (SETS[project](free) - point.flatten()).square().sum()
        value.backward()
        assert free.grad is not None
        return value.item(), free.grad.numpy()

    starts = torch.randn(8, 6, dtype=torch.float64, generator=generator).numpy()
    solve: Callable[..., Any] = minimize
    found = min((solve(distance, start, jac=True, method="BFGS", tol=1e-12) for start in starts), key=lambda m: m.fun)
    nearest = SETS[project](torch.tensor(found.x))
    torch.testing.assert_close(project(point).flatten(), nearest, atol=1e-5, rtol=0)


@pytest.mark.parametrize("project", SETS, ids=IDS)
def test_a_projection_is_idempotent_and_leaves_its_argument_alone(project: Projection) -> None:
    atoms = torch.randn(5, 2, 3, 3)
    before = atoms.clone()
    once = project(atoms)
    torch.testing.assert_close(project(once), once, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(atoms, before, rtol=0, atol=0)


@pytest.mark.parametrize("project", SETS, ids=IDS)
def test_each_atom_is_projected_by_itself_also_in_a_stack_of_models(project: Projection) -> None:
    atoms = torch.randn(4, 1, 3, 3)
    torch.testing.assert_close(project(atoms)[2:3], project(atoms[2:3]))
    stack = torch.stack([atoms, 2 * atoms])
    torch.testing.assert_close(torch.vmap(project)(stack)[1], project(2 * atoms))


def test_unit_norm_leaves_a_zero_atom_zero() -> None:
    assert not projection.unit_norm(torch.zeros(2, 1, 2, 2)).any()


def nearest(vector: Floats, l1: float, l2: float, generator: np.random.Generator) -> Floats:
    """The nearest of many local minima that a general solver finds."""
    constraints = [
        {"type": "eq", "fun": lambda x: x.sum() - l1, "jac": np.ones_like},
        {"type": "eq", "fun": lambda x: x @ x - l2**2, "jac": lambda x: 2 * x},
    ]
    found = [
        minimize(  # type: ignore[call-overload]
            lambda x: (x - vector) @ (x - vector),
            np.abs(generator.normal(size=vector.size)),
            jac=lambda x: 2 * (x - vector),
            bounds=[(0, None)] * vector.size,
            constraints=constraints,
            method="SLSQP",
            options={"ftol": 1e-15, "maxiter": 300},
        )
        for _ in range(25)
    ]
    kept = [result for result in found if abs(result.x.sum() - l1) < 1e-7 and abs(result.x @ result.x - l2**2) < 1e-7]
    best: Floats = min(kept, key=lambda result: float(result.fun)).x
    return best


@pytest.mark.parametrize("sparseness", [0.1, 0.35, 0.6, 0.9])
@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_hoyer_is_what_a_general_solver_finds(size: int, sparseness: float) -> None:
    generator = np.random.default_rng(size)
    vector = generator.normal(size=size) + 0.5
    l2 = float(np.linalg.norm(vector))
    l1 = (math.sqrt(size) * (1 - sparseness) + sparseness) * l2
    projected = hoyer(torch.from_numpy(vector), sparseness).numpy()
    np.testing.assert_allclose(projected, nearest(vector, l1, l2, generator), atol=1e-5)


@settings(deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(2, 30)), elements=st.floats(-10, 10, width=32)),
    st.floats(0, 1),
)
def test_hoyer_keeps_the_norm_and_has_the_sparseness(vectors: Floats, sparseness: float) -> None:
    given_vectors = torch.from_numpy(vectors)
    projected = hoyer(given_vectors, sparseness)
    assert (projected >= 0).all()
    torch.testing.assert_close(projected.norm(dim=1), given_vectors.norm(dim=1))
    expected = torch.where(given_vectors.norm(dim=1) > 0, sparseness, 0.0).double()
    torch.testing.assert_close(hoyer_sparsity(projected), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("sparseness", [0.0, 0.3, 0.6, 0.9, 1.0])
def test_hoyer_is_idempotent_and_agrees_in_single_precision(sparseness: float) -> None:
    vectors = torch.randn(5, 2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    once = hoyer(vectors, sparseness)
    torch.testing.assert_close(hoyer(once, sparseness), once)
    single = hoyer(vectors.float(), sparseness)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), once, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        hoyer_sparsity(single).double(), torch.full((5,), sparseness).double(), atol=1e-4, rtol=0
    )


def test_hoyer_of_ties_zeros_and_single_entries() -> None:
    ties = hoyer(torch.tensor([1.0, 3.0, 3.0, 3.0, 0.0]), 0.9)
    assert ties[1] > ties[2] == ties[3] > 0
    assert ties[0] == ties[4] == 0
    assert torch.equal(hoyer(torch.zeros(2, 3), 0.5), torch.zeros(2, 3))
    assert torch.equal(hoyer(torch.tensor([[2.0], [-3.0]]), 0.5), torch.tensor([[2.0], [3.0]]))
    torch.testing.assert_close(hoyer(torch.zeros(4), 1.0, l2=2.0), torch.tensor([2.0, 0.0, 0.0, 0.0]))


def test_hoyer_takes_atoms_a_norm_and_a_sparseness_for_each() -> None:
    atoms = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    sparseness = torch.tensor([[0.2], [0.5], [0.8]])
    projected = hoyer(atoms.flatten(1), sparseness, l2=1.0).view_as(atoms)
    torch.testing.assert_close(projected.flatten(1).norm(dim=1), torch.ones(3))
    torch.testing.assert_close(hoyer_sparsity(projected.flatten(1)), sparseness[:, 0])


def test_hoyer_maps() -> None:
    vectors = torch.randn(3, 5, 20, generator=torch.Generator().manual_seed(0))
    sparseness = torch.tensor([0.1, 0.5, 0.9])
    each = torch.stack([hoyer(some, float(value)) for some, value in zip(vectors, sparseness, strict=True)])
    torch.testing.assert_close(torch.func.vmap(hoyer)(vectors, sparseness), each)

    def first(stacked: Tensor) -> Tensor:
        return hoyer(stacked, 0.5)

    torch.testing.assert_close(torch.func.vmap(first, in_dims=1, out_dims=1)(vectors), hoyer(vectors, 0.5))


@pytest.mark.parametrize("sparseness", [-0.1, 1.1, float("nan")])
def test_hoyer_refuses_a_sparseness_out_of_range(sparseness: float) -> None:
    with pytest.raises(InputError, match="sparseness must be"):
        hoyer(torch.ones(2, 3), sparseness)
