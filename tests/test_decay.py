from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import integrate
from torch import Tensor, nn

from partae.checks import InputError
from partae.decay import L1, L2, AsymmetricDecay, AsymmetricL1, AsymmetricL1L2, AsymmetricL2

ATOMS = torch.randn(6, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LAMBDA, KAPPA = 0.3, 0.4
# the derivative of each cost, written down by hand; scipy integrates it
SLOPES: dict[AsymmetricDecay, Callable[[float], float]] = {
    AsymmetricL2(LAMBDA): lambda w: w,
    AsymmetricL1(LAMBDA): np.sign,
    AsymmetricL1L2(LAMBDA, kappa=KAPPA): lambda w: np.clip(w / KAPPA, -1, 1) + w,
}
KINDS = [type(decay) for decay in SLOPES]


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("decay", SLOPES, ids=[kind.__name__ for kind in KINDS])
def test_a_decay_is_the_integral_of_its_slope(decay: AsymmetricDecay, alpha: float) -> None:
    costs = np.array([integrate.quad(SLOPES[decay], 0, w, points=[-KAPPA, KAPPA])[0] for w in ATOMS.flatten().tolist()])
    expected = LAMBDA * np.where(ATOMS.flatten() < 0, costs, alpha * costs).sum()
    decay.alpha.fill_(alpha)
    np.testing.assert_allclose(decay.double()(ATOMS).item(), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_alpha_0_is_blind_to_positive_values(kind: type[AsymmetricDecay]) -> None:
    assert kind(1.0, alpha=0.0)(ATOMS.abs()) == 0
    assert kind(1.0, alpha=0.0)(-ATOMS.abs()) > 0


def one_step(penalty: nn.Module | None, weight_decay: float) -> Tensor:
    atoms = ATOMS.clone().requires_grad_()
    optimizer = torch.optim.SGD([atoms], lr=0.1, weight_decay=weight_decay)
    loss = atoms.sin().sum()
    (loss + penalty(atoms) if penalty is not None else loss).backward()
    optimizer.step()
    return atoms.detach()


@pytest.mark.parametrize("penalty", [AsymmetricL2(0.25, alpha=1.0), L2(0.25)])
def test_alpha_1_is_plain_weight_decay(penalty: nn.Module) -> None:
    torch.testing.assert_close(one_step(penalty, 0.0), one_step(None, 0.25), rtol=1e-15, atol=1e-15)


def test_plain_l1_is_the_norm() -> None:
    torch.testing.assert_close(L1(0.25)(ATOMS), 0.25 * ATOMS.norm(p=1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": -0.5}, r"decay\.alpha must be a number in \[0, inf\); got -0\.5"),
        ({"lambda_": -1.0}, r"decay\.lambda_ must be a number in \[0, inf\); got -1\.0"),
        ({"kappa": 0.0}, r"decay\.kappa must be a number in \(0, inf\); got 0\.0"),
    ],
)
def test_bad_arguments_are_refused_by_key(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AsymmetricL1L2(**arguments)
