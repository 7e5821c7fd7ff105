"""Runs whose process is killed, and how their checkpoints differ."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize
from pytorch_lightning import Callback, LightningModule, Trainer

from partae.run.training import train
from tests.conftest import log_into

TINY = ["data=bars", "data.source.train_size=250", "data.source.test_size=50", "data.val_size=50", "data.batch_size=40"]
SILENT = ["~callbacks.progress", "+trainer.enable_progress_bar=false"]
# plasticity and pruning keep state of their own: the sparse phase begins before the kill and ends after it
RUN = [*TINY, "latent_dim=6", "model=nnsae", "callbacks=dense_sparse_dense", "callbacks.pruning.begin=1"]
RUN += ["callbacks.pruning.end=3", "trainer.max_epochs=4", "callbacks.gallery.every_n_epochs=2"]
RUN += SILENT
PLACES = {"seconds", "dirpath", "best_model_path", "last_model_path", "kth_best_model_path", "best_k_models"}


class Kill(Callback):
    """Kills its process as an operator would, before a batch of an epoch is trained on."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.epoch, self.batch = epoch, batch

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch):
            os.kill(os.getpid(), signal.SIGKILL)


class KillAtSaving(Kill):
    """Kills its process when the content of a checkpoint is gathered, after ``batch`` other ones of its epoch."""

    saved = 0

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.current_epoch == self.epoch:
            if self.saved == self.batch:
                self.kill()
            self.saved += 1

    def kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class KillAtWriting(KillAtSaving):
    """Kills its process when half of a checkpoint is on the disk."""

    def kill(self) -> None:
        Path.write_bytes = self.half  # type: ignore[assignment, method-assign]

    @staticmethod
    def half(path: Path, content: memoryview) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
        return 0


class KillAtTest(Kill):
    """Kills its process when all is trained, and nothing is tested."""

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def in_a_process(work: Callable[[], object]) -> int:
    """Do ``work`` in a process of its own; its exit status, negative if a signal ended it."""
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


def trained(folder: Path, kill: Kill | None = None, *changes: str, run: Sequence[str] = tuple(RUN)) -> int:
    """Train ``run`` in ``folder``, in a process of its own that ``kill`` may end; its exit status."""
    places = [f"callbacks.checkpoint.dirpath={folder / 'checkpoints'}"]
    killing = []
    if kill:
        killing = [f"+callbacks.kill.{key}={value}" for key, value in vars(kill).items()]
        killing += [f"+callbacks.kill._target_={type(kill).__module__}.{type(kill).__name__}"]
    with initialize(version_base="1.3", config_path="../../conf"):
        root = f"trainer.default_root_dir={folder}"
        cfg = log_into(folder, compose("train", overrides=[*run, *places, root, *killing, *changes]))
    return in_a_process(lambda: train(cfg, folder))


def differences(one: Any, other: Any, key: str = "") -> list[str]:
    """The keys at which two checkpoints differ in a bit, but for where they lie and the time they took."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [name for name in {**one, **other} if name not in PLACES]
        return [found for name in keys for found in differences(one.get(name), other.get(name), f"{key}.{name}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for place, pair in pairs for found in differences(*pair, f"{key}.{place}")]
    tensors = [isinstance(each, torch.Tensor) for each in (one, other)]
    same = torch.equal(one, other) if all(tensors) else not any(tensors) and one == other
    return [] if same else [key]
