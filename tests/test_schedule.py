from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from partae.checks import InputError
from partae.schedule import Cosine


def test_cosine_without_warmup_equals_torch() -> None:
    steps = 20
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    by_torch = CosineAnnealingLR(optimizer, T_max=steps)
    for step in range(steps + 1):
        assert Cosine(warmup=0)(step / steps) == pytest.approx(by_torch.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        by_torch.step()


@pytest.mark.parametrize("warmup", [-0.1, 1.0, 1.5])
def test_a_bad_warmup_is_refused(warmup: float) -> None:
    with pytest.raises(InputError, match=r"schedule\.warmup"):
        Cosine(warmup)
