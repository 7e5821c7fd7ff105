from __future__ import annotations

import pytest
import torch

from partae.activation import Logistic
from partae.checks import InputError
from partae.plasticity import IntrinsicPlasticity, intrinsic_plasticity


def test_the_rule_descends_the_divergence_from_the_exponential() -> None:
    inputs = torch.randn(50, 4, dtype=torch.float64)
    slope = torch.rand(4, dtype=torch.float64).add(0.5).requires_grad_()
    bias = torch.randn(4, dtype=torch.float64).requires_grad_()
    p = torch.tensor(0.2, dtype=torch.float64)
    outputs = torch.sigmoid(slope * inputs + bias)
    # up to a constant: minus the entropy of the outputs, plus their mean over p
    divergence = (outputs / p - torch.log(slope * outputs * (1 - outputs))).mean(dim=0).sum()
    by_autograd = torch.autograd.grad(-divergence, (slope, bias))
    for direction, gradient in zip(intrinsic_plasticity(inputs, outputs, slope, p), by_autograd, strict=True):
        torch.testing.assert_close(direction, gradient)


@pytest.mark.parametrize("p", [0.1, 0.2])
def test_units_reach_the_mean_asked_for(p: float) -> None:
    logistic, rule = Logistic(5), IntrinsicPlasticity(p, rate=0.02)
    scale = torch.tensor([0.1, 0.5, 1.0, 3.0, 10.0])
    for _ in range(4000):
        logistic(torch.randn(64, 5) * scale + 1)
        rule.update(logistic)
    mean = logistic(torch.randn(20_000, 5) * scale + 1).mean(dim=0)
    torch.testing.assert_close(mean, torch.full((5,), p), atol=0.02, rtol=0)


def test_it_adds_nothing_to_the_loss() -> None:
    assert IntrinsicPlasticity()(torch.rand(4, 3)) == 0


def test_in_evaluation_no_inputs_are_kept() -> None:
    logistic = Logistic(2).eval()
    logistic(torch.ones(1, 2))
    assert logistic.inputs is None
    with pytest.raises(InputError, match="needs a batch"):
        IntrinsicPlasticity().update(logistic)


@pytest.mark.parametrize(("arguments", "key"), [({"p": 0.0}, "sparsity.p"), ({"rate": 0.0}, "sparsity.rate")])
def test_bad_arguments_are_refused_by_key(arguments: dict[str, float], key: str) -> None:
    with pytest.raises(InputError, match=key):
        IntrinsicPlasticity(**arguments)
