from __future__ import annotations

import pytest
import torch
from hydra.utils import instantiate

from partae.sweep.stack import memory
from partae.sweep.stack.memory import fitting, is_out_of_memory
from tests.conftest import Compose


def test_a_larger_model_fits_less_often(composed: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (instantiate(composed(f"latent_dim={width}").model) for width in (10, 1000))
    cpu = torch.device("cpu")
    assert fitting(small, 500, cpu) > fitting(large, 500, cpu) > 1
    monkeypatch.setattr(memory, "free_memory", lambda _: 100 * 2**20)
    assert fitting(small, 500, cpu) > fitting(large, 500, cpu) == 1


def test_torch_saying_that_memory_is_short_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**50)
    assert is_out_of_memory(error.value)
    assert not is_out_of_memory(RuntimeError("shapes differ"))
