from __future__ import annotations

import pytest
import torch

from partae import AutoEncoder
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.sweep.stack import memory
from partae.sweep.stack.memory import largest_stack

SHAPE = (1, 28, 28)


def test_a_stack_of_larger_models_is_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (AutoEncoder(Dense(SHAPE, width), Dictionary(SHAPE, width)) for width in (10, 1000))
    cpu = torch.device("cpu")
    assert largest_stack(small, 500, cpu) > largest_stack(large, 500, cpu) > 1
    monkeypatch.setattr(memory, "free_memory", lambda _: 100 * 2**20)
    assert largest_stack(small, 500, cpu) > largest_stack(large, 500, cpu) == 1
