"""A run that is killed and goes on is the run that never stopped."""

from __future__ import annotations

import json
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from partae.checkpoint import read
from tests.conftest import Compose
from train import train

EPOCHS = 6
TINY = ["data=bars", "data.source.train_size=250", "data.source.test_size=50", "data.val_size=50", "data.batch_size=40"]
# the rule of plasticity and the phases of pruning keep state of their own; the phase begins before the kill, ends after
RUN = [*TINY, "latent_dim=6", "model=nnsae", "callbacks=dense_sparse_dense", "callbacks.pruning.begin=1"]
RUN += [
    "callbacks.pruning.end=5",
    f"trainer.max_epochs={EPOCHS}",
    "callbacks.gallery.every_n_epochs=2",
    "+trainer.enable_progress_bar=false",
    "~callbacks.progress",
]


class Kill(Callback):
    """Kills its process as an operator would, before a batch of an epoch is trained on."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.epoch, self.batch = epoch, batch

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch):
            os.kill(os.getpid(), signal.SIGKILL)


class KillAtSaving(Kill):
    """Kills its process when what a checkpoint is to hold is gathered, and nothing of it is on the disk."""

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.current_epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGKILL)


def in_a_process(work: Callable[[], object]) -> int:
    """Do ``work`` in a process of its own; how that ended, a negative signal if by one."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            torch.set_num_threads(1)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def run(composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Trains `RUN` in ``tmp_path / "run"`` in a process of its own, to be killed there or not."""

    def train_in_process(kill: Kill | None = None) -> int:
        target = f"+callbacks.kill._target_={__name__}.{type(kill).__name__}"
        killing = [target, f"+callbacks.kill.epoch={kill.epoch}", f"+callbacks.kill.batch={kill.batch}"] if kill else []
        cfg = composed(*RUN, *killing)
        return in_a_process(lambda: train(cfg, tmp_path / "run"))

    return train_in_process


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a run: the steps of each tag, with the values of scalars."""
    accumulator = EventAccumulator(str(folder / "tensorboard"), {"images": 0, "histograms": 0, "scalars": 0}).Reload()
    tags = cast("dict[str, list[str]]", accumulator.Tags())
    shown = {tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in tags["scalars"]}
    shown |= {tag: [(event.step, 0.0) for event in accumulator.Images(tag)] for tag in tags["images"]}
    return shown | {tag: [(event.step, 0.0) for event in accumulator.Histograms(tag)] for tag in tags["histograms"]}


def measures(folder: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / "metrics.json").read_text())
    assert found.pop("wall_time") > 0
    return found


def differences(one: Any, other: Any, key: str = "") -> list[str]:
    """The keys at which two checkpoints differ in a bit, but for the time they took."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [name for name in {**one, **other} if name != "seconds"]
        return [found for name in keys for found in differences(one.get(name), other.get(name), f"{key}.{name}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for place, pair in pairs for found in differences(*pair, f"{key}.{place}")]
    same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    return [] if same else [key]


@pytest.fixture
def straight(run: Callable[..., int], tmp_path: Path) -> Path:
    """The folder of a run that was never stopped."""
    assert run() == 0
    return (tmp_path / "run").rename(tmp_path / "straight")


KILLS = [Kill(3, 0), Kill(3, 4), KillAtSaving(2, 0), Kill(1, 2)]


@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: f"{type(kill).__name__}_{kill.epoch}_{kill.batch}")
def test_a_killed_run_goes_on_bit_for_bit(kill: Kill, run: Callable[..., int], straight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert run(kill) == -signal.SIGKILL
    assert not (folder / "metrics.json").exists()
    assert run() == 0
    for name in ("last.ckpt", "best.ckpt"):
        one, other = (read(path / "checkpoints" / name) for path in (straight, folder))
        assert differences(one, other) == []
    assert one["callbacks"], "the pruning and the checkpoints have state"
    assert measures(folder) == measures(straight)
    assert events(folder) == events(straight)
