from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special
from torch import nn

from partae import AutoEncoder
from partae.activation import JumpReLU, Logistic, TopK, intrinsic_plasticity
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.sparsity import (
    KL,
    L0,
    L1,
    L2,
    EpsilonL1,
    Hoyer,
    IntrinsicPlasticity,
    Log,
    MeanActivationPenalty,
    hoyer_sparsity,
)
from partae.sparsity.means import EPSILON

CODE = torch.rand(20, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
T = CODE.numpy().mean(axis=0)
P, BETA = 0.05, 0.3
BY_NUMPY = {
    KL(BETA, P): special.rel_entr(P, T) + special.rel_entr(1 - P, 1 - T),
    L2(BETA, P): (T - P) ** 2,
    # the smoothed absolute value is scipy's pseudo-Huber loss, divided by its width
    EpsilonL1(BETA, P, epsilon=0.02): special.pseudo_huber(0.02, T - P) / 0.02,
    Log(BETA, P): np.log1p((T - P) ** 2),
}
MEANS = [type(penalty) for penalty in BY_NUMPY]


@pytest.mark.parametrize(("penalty", "expected"), BY_NUMPY.items(), ids=[kind.__name__ for kind in MEANS])
def test_penalties_of_the_mean_equal_a_second_computation(penalty: nn.Module, expected: np.ndarray) -> None:
    np.testing.assert_allclose(penalty.double()(CODE).item(), BETA * expected.sum(), rtol=1e-6)


@pytest.mark.parametrize("kind", MEANS)
def test_they_are_zero_exactly_where_the_mean_is_p(kind: type[MeanActivationPenalty]) -> None:
    code = torch.tensor([[0.0, 0.25], [0.5, 0.25]], dtype=torch.float64)
    assert kind(1.0, 0.25).double()(code).item() == pytest.approx(0, abs=1e-12)
    for p in (0.2, 0.3):
        assert kind(1.0, p).double()(code).item() > 1e-4


@pytest.mark.parametrize("kind", [L2, EpsilonL1, Log])
def test_p_may_be_0_and_the_code_negative(kind: type[MeanActivationPenalty]) -> None:
    penalty = kind(1.0, 0.0)
    torch.testing.assert_close(penalty(-CODE.float()), penalty(CODE.float()))
    assert penalty(torch.zeros(3, 4)) == 0


def test_l0_moves_the_thresholds_of_jump_relu_until_codes_have_the_target_and_nothing_else() -> None:
    penalty, module = L0(1.0, target=5.0), JumpReLU(20, threshold=0.1, bandwidth=0.5)
    inputs = torch.rand(400, 20, requires_grad=True)
    assert penalty(module(inputs)).item() == pytest.approx((0.9 * 20 / 5 - 1) ** 2, rel=0.05)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        penalty(module(inputs)).backward()
        optimizer.step()
    code = module(inputs)
    assert (code > 0).sum(dim=1).float().mean() == pytest.approx(5, rel=0.05)
    torch.testing.assert_close(penalty(torch.cat([code, code])), penalty(code))
    assert inputs.grad is not None
    assert not inputs.grad.any()


def test_the_slope_of_l0_by_a_threshold_is_an_estimate_of_its_derivative() -> None:
    module, inputs = JumpReLU(1, threshold=0.5, bandwidth=0.05).double(), torch.rand(1_000_000, 1, dtype=torch.float64)
    L0(1.0, target=1.0).double()(module(inputs)).backward()
    # for uniform inputs it is (1 - t - 1)^2 = t^2; by log t its derivative is 2 t^2; half of the inputs count
    torch.testing.assert_close(module.log_threshold.grad, torch.tensor([0.25], dtype=torch.float64), atol=0, rtol=0.03)


def test_l0_needs_thresholds_that_learn() -> None:
    with pytest.raises(InputError, match=r"sparsity=l0 needs encoder/activation=jump_relu; got TopK\(l0=10\)"):
        AutoEncoder(Dense((1, 2, 2), 3, TopK()), Dictionary((1, 2, 2), 3), sparsity=L0())


def test_l1_equals_numpy() -> None:
    code = CODE - 0.5
    expected = BETA * np.linalg.norm(code.numpy(), ord=1, axis=1).mean()
    np.testing.assert_allclose(L1(BETA).double()(code).item(), expected, rtol=1e-6)


def test_hoyer_equals_numpy_and_is_zero_at_its_target() -> None:
    ratio = np.linalg.norm(CODE.numpy(), 1, axis=1) / np.linalg.norm(CODE.numpy(), 2, axis=1)
    sparsity = (np.sqrt(7) - ratio) / (np.sqrt(7) - 1)
    np.testing.assert_allclose(Hoyer(BETA, 0.6).double()(CODE).item(), BETA * ((sparsity - 0.6) ** 2).mean(), rtol=1e-6)
    assert Hoyer(1.0, target=1.0)(torch.eye(5)) == 0
    assert Hoyer(1.0, target=0.0)(torch.ones(2, 5)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("target", [0.1, 0.9])
def test_descending_on_hoyer_moves_the_sparsity_to_its_target(target: float) -> None:
    logits = torch.randn(4, 30, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    penalty = Hoyer(1.0, target)
    for _ in range(500):
        optimizer.zero_grad()
        penalty(logits.exp()).backward()
        optimizer.step()
    torch.testing.assert_close(hoyer_sparsity(logits.exp().detach()), torch.full((4,), target), atol=0.01, rtol=0)


PENALTIES = [*BY_NUMPY, L1(0.1), Hoyer(0.1)]
# codes with entries at the very edges: all-zero and all-one codes, single units, one image, one unit
EDGE = st.sampled_from([0.0, 1.0, 1e-45, 1e-20, 1e-7, 0.5, 1 - 2**-24])
CODES = st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=EDGE) | arrays(np.float32, shape, elements=EDGE, fill=EDGE)
)


@given(CODES, st.sampled_from(PENALTIES), st.sampled_from([torch.float32, torch.float64]))
def test_penalties_of_any_code_are_finite_with_their_gradients(
    values: np.ndarray, penalty: nn.Module, dtype: torch.dtype
) -> None:
    code = torch.from_numpy(values).to(dtype).requires_grad_()
    result = penalty.to(dtype)(code)
    assert result.shape == ()
    assert torch.isfinite(result)
    assert result >= -1e-6
    if result.requires_grad:  # Hoyer's sparsity of one unit is 0 whatever it says
        (gradient,) = torch.autograd.grad(result, code)
        assert gradient.isfinite().all()
    torch.testing.assert_close(penalty(torch.cat([code, code])), result)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_kl_at_the_edges_in_closed_form(value: float) -> None:
    code = torch.full((4, 3), value, dtype=torch.float64)
    edge = abs(value - EPSILON)
    expected = 3 * BETA * (special.rel_entr(P, edge) + special.rel_entr(1 - P, 1 - edge))
    assert KL(BETA, P).double()(code).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_hoyer_of_a_code_whose_squares_no_float_can_hold(scale: float) -> None:
    code = scale * torch.tensor([[0.0, -3.0, 0.0, 4.0]])
    torch.testing.assert_close(hoyer_sparsity(code), torch.tensor([2 - 7 / 5]))


@pytest.mark.parametrize("units", [1, 2, 7])
def test_hoyer_of_zero_single_unit_and_one_unit_codes(units: int) -> None:
    penalty = Hoyer(1.0, 0.65)
    single = 1.0 if units > 1 else 0.0
    assert penalty(torch.zeros(2, units)).item() == pytest.approx(0.65**2)
    assert penalty(0.3 * torch.eye(units)).item() == pytest.approx((single - 0.65) ** 2)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (KL, {"p": 1.5}, r"sparsity\.p must be a number in \(0, 1\); got 1\.5"),
        (KL, {"p": 0.0}, r"sparsity\.p must be a number in \(0, 1\); got 0\.0"),
        (L2, {"beta": -1.0}, r"sparsity\.beta must be a number in \[0, inf\); got -1\.0"),
        (EpsilonL1, {"epsilon": 0.0}, r"sparsity\.epsilon must be a number in \(0, inf\); got 0\.0"),
        (L1, {"beta": float("nan")}, r"sparsity\.beta .* got nan"),
        (IntrinsicPlasticity, {"p": 0.0}, r"sparsity\.p .* got 0\.0"),
        (IntrinsicPlasticity, {"rate": 0.0}, r"sparsity\.rate .* got 0\.0"),
        (Hoyer, {"target": 1.1}, r"sparsity\.target must be a number in \[0, 1\]; got 1\.1"),
    ],
)
def test_bad_arguments_are_refused_by_key(kind: type[nn.Module], arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kind(**arguments)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_kl_is_finite_at_its_edges_in_half_precision(dtype: torch.dtype, value: float) -> None:
    full = KL()(torch.full((4, 3), value))
    half = KL()(torch.full((4, 3), value, dtype=dtype))
    assert half.isfinite()
    torch.testing.assert_close(half.float(), full)


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
        logistic.adapt(torch.randn(64, 5) * scale + 1, rule.p, rule.rate)
    mean = logistic(torch.randn(20_000, 5) * scale + 1).mean(dim=0)
    torch.testing.assert_close(mean, torch.full((5,), p), atol=0.02, rtol=0)


def test_in_evaluation_no_inputs_are_kept() -> None:
    logistic = Logistic(2).eval()
    logistic(torch.ones(1, 2))
    assert logistic.inputs is None
