"""The best and the last checkpoint of a run, from which it goes on as if it had never stopped."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger

from partae.checks import InputError
from partae.data import DataModule
from partae.model.lightning import Measured
from partae.saving.checkpoints import check_state


class Checkpoint(ModelCheckpoint):
    """Lightning's, and in each file the validation measures and the seconds that the run has taken so far.

    The state of torch's random generators is there too: what training draws, it draws as if it had never stopped.

    The best is the best of the epochs after which the model was validated, and not on its way through them. Where no
    images are kept for validation, the best is the last.

    What TensorBoard was given of an epoch is on the disk before the epoch's checkpoint is, so that a run that is killed
    and goes on has no gap there.
    """

    seconds = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, DataModule) and not data.val_size:
            self.monitor = None
        with warnings.catch_warnings():  # a run that goes on finds its checkpoints there
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
            super().setup(trainer, pl_module, stage)
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.monitor or getattr(pl_module, "validated_step", trainer.global_step) == trainer.global_step:
            super().on_train_epoch_end(trainer, pl_module)
        # Lightning writes the last checkpoint only in epochs whose checkpoint is the best so far
        if self.save_last and self._last_global_step_saved != trainer.global_step:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the scores; where files lie is not for a checkpoint to say, whose run may have been moved."""
        before = Path(str(state_dict.get("dirpath")))
        scores = {self._own(path, before): score for path, score in state_dict["best_k_models"].items()}
        self.best_k_models = {path: score for path, score in scores.items() if path}
        for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
            setattr(self, name, self._own(state_dict[name], before))
        self.kth_value, self.best_model_score = state_dict["kth_value"], state_dict["best_model_score"]
        self.current_score = state_dict["current_score"]

    def _own(self, path: str, before: Path) -> str:
        """The file that lies in this run's own folder as ``path`` did in that of ``before``; nothing without one."""
        inside = Path(path).relative_to(before) if Path(path).is_relative_to(before) else Path(Path(path).name)
        folder = Path(str(self.dirpath))
        file = folder / inside
        is_own = file.suffix == self.FILE_EXTENSION and file.resolve().is_relative_to(folder.resolve())
        return str(file) if is_own and file.is_file() else ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        for optimizer in trainer.optimizers:
            check_state(optimizer, trainer.ckpt_path)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if isinstance(pl_module, Measured):
            pl_module.check_weights()
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                logger.experiment.flush()
        measured = {key: value.item() for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
        checkpoint["measures"] = measured
        checkpoint["seconds"] = self.seconds + time.monotonic() - self.started
        checkpoint["random"] = {"cpu": torch.get_rng_state()}
        device = trainer.strategy.root_device
        if device.type == "cuda":
            checkpoint["random"]["cuda"] = torch.cuda.get_rng_state(device)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.seconds = checkpoint["seconds"]
        try:
            torch.set_rng_state(checkpoint["random"]["cpu"])
            device = trainer.strategy.root_device  # to which the model moves later
            if "cuda" in checkpoint["random"] and device.type == "cuda":
                torch.cuda.set_rng_state(checkpoint["random"]["cuda"], device)
        except (KeyError, TypeError, RuntimeError) as error:
            raise InputError(f"a checkpoint in {self.dirpath} has no state of torch's random generators") from error
