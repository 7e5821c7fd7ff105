"""The best and the last checkpoint of a run, from which it resumes exactly."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from partae.data import DataModule
from partae.model.lightning import Measured
from partae.saving.checkpoints import check_state


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's random generators that a training on ``device`` draws from, by the kind of their device."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state


def set_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Set torch's random generators to what `random_state` gave, maybe for another kind of device."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)


class Checkpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, with all that a killed run needs to resume bit for bit.

    Each file also holds the validation measures, the seconds that the run has taken so far, and the state of torch's
    random generators. Whatever was logged of an epoch is on the disk before the epoch's checkpoint is, so that a run
    that is killed and resumed has no gap there.

    The best is the best of the epochs after which the model was validated. Where no images are kept for validation, the
    best is the last.
    """

    seconds = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, DataModule) and not data.val_size:
            self.monitor = None
        with warnings.catch_warnings():  # a resumed run finds its checkpoints there
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
            super().setup(trainer, pl_module, stage)
        self.started = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        for optimizer in trainer.optimizers:
            check_state(optimizer, trainer.ckpt_path or "a checkpoint")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.monitor or getattr(pl_module, "validated_step", trainer.global_step) == trainer.global_step:
            super().on_train_epoch_end(trainer, pl_module)
        # Lightning writes the last checkpoint only in epochs whose checkpoint is the best so far
        if self.save_last and not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            super().on_train_end(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if isinstance(pl_module, Measured):
            pl_module.check_weights()
        for logger in trainer.loggers:
            logger.save()
        measured = {key: value.item() for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
        checkpoint["measures"] = measured
        checkpoint["seconds"] = self.seconds + time.monotonic() - self.started
        checkpoint["random"] = random_state(trainer.strategy.root_device)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.seconds = checkpoint["seconds"]
        set_random_state(checkpoint["random"], trainer.strategy.root_device)  # the model moves there later

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the scores, and the paths of files in this run's folder: Lightning would delete any other file."""
        before = Path(str(state_dict.get("dirpath")))  # the run may have been moved
        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        own = {name: self._own(state_dict[name], before) for name in paths}
        scores = {self._own(path, before): score for path, score in state_dict["best_k_models"].items()}
        scores.pop("", None)
        super().load_state_dict({**state_dict, **own, "best_k_models": scores, "dirpath": self.dirpath})
        self.current_score = state_dict["current_score"]

    def _own(self, path: str, before: Path) -> str:
        """The checkpoint that lies in this run's folder as ``path`` did in the folder ``before``; "" without one."""
        folder = Path(str(self.dirpath))
        file = folder / (Path(path).relative_to(before) if Path(path).is_relative_to(before) else Path(path).name)
        is_own = file.suffix == self.FILE_EXTENSION and file.resolve().is_relative_to(folder.resolve())
        return str(file) if is_own and file.is_file() else ""
