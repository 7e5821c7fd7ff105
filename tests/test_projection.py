from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import lsq_linear

from partae import projection


def test_nonnegative_is_the_nearest_feasible_point() -> None:
    point = torch.randn(12, dtype=torch.float64)
    nearest = lsq_linear(np.eye(12), point.numpy(), bounds=(0, np.inf), tol=1e-12).x
    np.testing.assert_allclose(projection.nonnegative(point).numpy(), nearest, atol=1e-9)


def test_nonnegative_is_idempotent_and_leaves_its_argument_alone() -> None:
    atoms = torch.randn(5, 1, 3, 3)
    before = atoms.clone()
    once = projection.nonnegative(atoms)
    torch.testing.assert_close(projection.nonnegative(once), once, rtol=0, atol=0)
    torch.testing.assert_close(atoms, before, rtol=0, atol=0)
