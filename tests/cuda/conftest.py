from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop

from tests.cuda.device import Counts, Device, OnDevice

ANSWERS: dict[str, Any] = {
    "_is_in_bad_fork": False,
    "_lazy_init": None,
    "current_device": 0,
    "device_count": 1,
    "empty_cache": None,
    "get_device_capability": (8, 0),
    "get_device_name": "pretended",
    "get_device_properties": SimpleNamespace(name="pretended", major=8, minor=0, total_memory=2**36),
    "is_available": True,
    "is_initialized": True,
    "mem_get_info": (2**36, 2**36),
    "memory_stats": {},
    "set_device": None,
}


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    """The pretended device, as the only GPU that PyTorch and Lightning find."""
    pretended = Device()
    if torch.cuda.is_available():
        torch.cuda.init()  # PyTorch would take the answers below for the real beginning, and never begin
    for name, answer in ANSWERS.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)
    for name in ("manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, pretended.seed)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda _: pretended.random)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, _: setattr(pretended, "random", state))
    stream = SimpleNamespace(is_capturing=lambda: False)
    monkeypatch.setattr(torch.accelerator, "current_stream", lambda *_: stream)
    kinds = [torch.nn.Parameter, OnDevice]  # whose optimizers take all tensors at once
    monkeypatch.setattr(import_module("torch.optim.optimizer"), "_foreach_supported_types", kinds)
    advance = _TrainingEpochLoop.advance

    def count_step(loop: Any, fetcher: Any) -> None:
        pretended.counts = Counts()
        advance(loop, fetcher)
        pretended.steps.append(pretended.counts)
        pretended.counts = Counts()

    monkeypatch.setattr(_TrainingEpochLoop, "advance", count_step)
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor` makes a tensor of the CPU, and copies it
    with pretended:
        yield pretended
    torch._C._set_only_lift_cpu_tensors(False)
    torch.use_deterministic_algorithms(is_deterministic)
