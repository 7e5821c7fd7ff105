from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import rel_entr

from partae.checks import InputError
from partae.sparsity import KL


def test_kl_equals_scipy() -> None:
    code, beta, p = torch.rand(20, 7, dtype=torch.float64), 0.3, 0.05
    mean = code.numpy().mean(axis=0)
    expected = beta * (rel_entr(p, mean) + rel_entr(1 - p, 1 - mean)).sum()
    np.testing.assert_allclose(KL(beta, p).double()(code).item(), expected, rtol=1e-6)


def test_kl_is_zero_exactly_where_the_mean_is_p() -> None:
    code = torch.tensor([[0.0, 0.25], [0.5, 0.25]], dtype=torch.float64)
    assert KL(1.0, 0.25).double()(code).item() == pytest.approx(0, abs=1e-12)
    assert KL(1.0, 0.26).double()(code).item() > 1e-4


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_kl_is_finite_at_the_edges(value: float) -> None:
    code = torch.full((4, 3), value, requires_grad=True)
    penalty = KL(1.0, 0.05)(code)
    penalty.backward()
    assert torch.isfinite(penalty)
    assert penalty > 0
    assert code.grad is not None
    assert torch.isfinite(code.grad).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"p": 1.5}, r"sparsity\.p must be a number in \(0, 1\); got 1\.5"),
        ({"p": 0.0}, r"sparsity\.p must be a number in \(0, 1\); got 0\.0"),
        ({"beta": -1.0}, r"sparsity\.beta must be a number in \[0, inf\); got -1\.0"),
    ],
)
def test_kl_refuses_by_key(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        KL(**arguments)
