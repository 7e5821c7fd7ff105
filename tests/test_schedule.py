from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from partae.checks import InputError
from partae.schedule import Constant, Cosine


def test_cosine_without_warmup_equals_torch() -> None:
    steps = 20
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    by_torch = CosineAnnealingLR(optimizer, T_max=steps)
    for step in range(steps + 1):
        assert Cosine(warmup=0)(step / steps) == pytest.approx(by_torch.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        by_torch.step()


def test_cosine_rises_once_and_falls_once() -> None:
    factors = [Cosine(warmup=0.1)(step / 100) for step in range(101)]
    assert factors[0] == 0
    assert factors[100] == pytest.approx(0)
    assert max(factors) == factors[10] == 1
    assert factors[:11] == sorted(factors[:11])
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_constant() -> None:
    assert {Constant()(step / 10) for step in range(11)} == {1.0}


@pytest.mark.parametrize("warmup", [-0.1, 1.0, 1.5])
def test_a_bad_warmup_is_refused(warmup: float) -> None:
    with pytest.raises(InputError, match=r"schedule\.warmup"):
        Cosine(warmup)
