from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import Bounds, minimize
from torch import Tensor

from partae import projection

Projection = Callable[[Tensor], Tensor]

# what scipy's general solver is told of each set
SETS: dict[Projection, dict[str, Any]] = {
    projection.nonnegative: {"bounds": Bounds(0, np.inf)},
    projection.unit_interval: {"bounds": Bounds(0, 1)},
    projection.unit_norm: {"constraints": {"type": "eq", "fun": lambda x: x @ x - 1, "jac": lambda x: 2 * x}},
}
IDS = [project.__name__ for project in SETS]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("project", SETS, ids=IDS)
def test_a_projection_is_the_nearest_point_that_scipy_finds(project: Projection, seed: int) -> None:
    point = torch.randn(1, 1, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    flat = point.flatten().numpy()
    start = np.abs(flat) / np.linalg.norm(flat)
    solve: Callable[..., Any] = minimize  # its stubs cannot follow options from a dict
    nearest = solve(lambda x: ((x - flat) ** 2).sum(), start, method="SLSQP", tol=1e-10, **SETS[project])
    assert nearest.success
    np.testing.assert_allclose(project(point).flatten().numpy(), nearest.x, atol=1e-5)


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
