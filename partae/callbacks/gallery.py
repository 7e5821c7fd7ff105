"""Pictures of what a model has learned so far, in the loggers that show pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from partae import figures
from partae.checks import whole
from partae.data import DataModule
from partae.morphology import Operator, read_operator
from partae.representation import Representation

SHOWING = (TensorBoardLogger, WandbLogger, MLFlowLogger)  # loggers that show pictures


def show(logger: Logger, name: str, figure: Figure, step: int) -> None:
    """Give a figure of a step to one of the loggers that show pictures."""
    if isinstance(logger, WandbLogger):
        logger.log_image(name, [figure], step)
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_figure(logger.run_id, figure, f"{name}/{step:08}.png")
    elif isinstance(logger, TensorBoardLogger):
        logger.experiment.add_figure(name, figure, step)


class Gallery(Callback):
    """Every few epochs, and at the end: the atoms, ten validation images as the model sees them, and its code.

    The images are one a class, of ten classes at most; beside each come its reconstruction, its dilation and its
    max-approximation. TensorBoard also shows two histograms: of all entries of the validation code, and of each unit's
    mean. Where no images are kept for validation, all of this is of the training images.

    Args:
        every_n_epochs: how often, at least 1.
        operator: the operator to approximate.
    """

    def __init__(self, every_n_epochs: int = 10, operator: Operator | str = "dilation:1") -> None:
        self.every_n_epochs = whole("callbacks.gallery.every_n_epochs", every_n_epochs)
        self.operator = read_operator(operator)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._draw_if_due(trainer, pl_module, "val")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.datamodule.val_size:  # type: ignore[attr-defined]
            self._draw_if_due(trainer, pl_module, "train")

    def _draw_if_due(self, trainer: Trainer, pl_module: LightningModule, split: str) -> None:
        epoch = trainer.current_epoch + 1
        is_due = epoch % self.every_n_epochs == 0 or epoch == trainer.max_epochs
        loggers = [logger for logger in trainer.loggers if isinstance(logger, SHOWING)]
        if trainer.sanity_checking or not is_due or not trainer.is_global_zero or not loggers:
            return
        data = cast("DataModule", trainer.datamodule)  # type: ignore[attr-defined]
        training = pl_module.training
        pl_module.eval()
        self._draw(loggers, cast("Representation", pl_module), data, split, trainer.global_step - 1)
        pl_module.train(training)

    @torch.no_grad()
    def _draw(self, loggers: Sequence[Logger], model: Representation, data: DataModule, split: str, step: int) -> None:
        images, names = data.examples(split)
        code = torch.cat([model.encode(batch) for batch, *_ in data.batches(split, shared=False)])
        reconstruction = model.reconstruct(images)
        if not (code.isfinite().all() and reconstruction.isfinite().all()):
            return  # the training has diverged, and is about to be stopped
        rows = {
            "original": images,
            "reconstruction": reconstruction,
            str(self.operator): self.operator(images),
            "max-approximation": model.max_approximation(images, self.operator),
        }
        arrays = {name: row.numpy(force=True) for name, row in rows.items()}
        drawn = {
            "atoms": figures.atoms(model.atoms.numpy(force=True)),
            "images": figures.image_rows(arrays, names),
        }
        for logger in loggers:
            for name, figure in drawn.items():
                show(logger, name, figure, step)
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_histogram("code/entries", code, step)
                logger.experiment.add_histogram("code/mean_activation_of_each_unit", code.mean(dim=0), step)
