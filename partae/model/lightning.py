"""What Lightning sees of every model: its losses and measures on validation and test images, and its checkpoint."""

from __future__ import annotations

import os
from typing import Any, ClassVar, NoReturn

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from partae.checks import InputError
from partae.data import DataModule
from partae.decoder import Decoder
from partae.metrics import MEASURED, Measures, calibrate, check_gains
from partae.model.averages import Losses, Means
from partae.morphology import Operator
from partae.representation import Representation
from partae.saving.specification import describe

Batch = tuple[Tensor, ...]  # images, labels, and the operated images where a loss asks for them


class Measured(Representation, LightningModule):
    """A representation that is measured on validation images during `fit` and on test images by `test`.

    A model defines `losses_of_batch`, `_encode`, and how it learns; its decoder gives the atoms and decodes.

    Attributes:
        decoder: code -> images.
        terms: the names of its losses.
        is_shared_out: whether several devices can share its batches.
    """

    decoder: Decoder
    terms: ClassVar[tuple[str, ...]] = ()
    is_shared_out: ClassVar[bool] = True

    @property
    def atoms(self) -> Tensor:
        return self.decoder.atoms

    @property
    def bias(self) -> Tensor:
        return self.decoder.bias

    @property
    def bias_is_atom(self) -> bool:
        return self.decoder.bias_is_atom

    def _decode(self, code: Tensor, atoms: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        return self.decoder.decode(code, atoms, bias)

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operators that it is trained to approximate."""
        return ()

    def losses(self, images: Tensor, operated: Tensor | None = None) -> Losses:
        """The terms of the loss over images (B, C, H, W), by name; the loss is their sum.

        ``operated`` (B, O, C, H, W) are the images operated on by each of `operators`, where that is done already.
        """
        return self.losses_of_batch(images, operated)[0]

    def losses_of_batch(self, images: Tensor, operated: Tensor | None = None) -> tuple[Losses, Tensor]:
        """The `losses`, and the code (B, K) of which they are."""
        raise NotImplementedError

    def losses_of_set(self, means: Losses, activation: Tensor) -> Losses:
        """The terms of the loss over all images of several batches.

        Args:
            means: of each term over the batches, weighed by their images.
            activation: the mean activation of each unit over all images, (K,).
        """
        return means

    calibrated_step = -1
    validated_step = -1  # the training step after which the `val/` measures were taken

    def forward(self, images: Tensor) -> Tensor:
        """Code (B, K) of images (B, C, H, W)."""
        return self.encode(images)

    def setup(self, stage: str) -> None:
        if self.trainer.world_size > 1 and not self.is_shared_out:
            raise InputError(f"model {type(self).__name__} trains on one device: leave out trainer=ddp")
        if self.trainer.strategy.root_device.type == "cpu":
            # Lightning sets it; each step of Adam then looks for a driver on the disk, a tenth of a small model's step
            os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
        self.measures = Measures(len(self.atoms))

    def calibrate(self, data: object) -> None:
        """Fit the gains of the operators that are measured or trained for, if ``data`` has training images."""
        if isinstance(data, DataModule) and data.has("train"):
            operators = tuple(dict.fromkeys((*MEASURED, *self.operators)))
            images, operated = data.calibration(operators)
            calibrate(self, images, operators, operated=operated)
        self.calibrated_step = self.global_step

    def on_validation_epoch_start(self) -> None:
        self.calibrate(getattr(self.trainer, "datamodule", None))
        self.measures.reset()
        self.val_means = Means()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        with full_precision(self.device):
            self.measures.update(self, batch[0])
            self.val_means.add(*self.losses_of_batch(batch[0], *batch[2:]))

    def on_validation_epoch_end(self) -> None:
        self.log_losses("val", self.losses_of_set(*self.val_means.compute(self.trainer.strategy)))
        measures = self.measures.compute()
        self.check_finite("measures of validation", measures)  # before a checkpoint is written
        self.log("val/reconstruction_error", measures.pop("reconstruction_error"), prog_bar=True, sync_dist=True)
        self.log_dict({f"val/{name}": value for name, value in measures.items()}, sync_dist=True)
        self.validated_step = self.trainer.global_step

    def on_train_epoch_end(self) -> None:
        if self.calibrated_step != self.global_step:  # no validation has; the checkpoint is written next
            self.calibrate(getattr(self.trainer, "datamodule", None))

    def on_test_epoch_start(self) -> None:
        self.calibrate(getattr(self.trainer, "datamodule", None))
        self.measures.reset()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        with full_precision(self.device):
            self.measures.update(self, batch[0])

    def on_test_epoch_end(self) -> None:
        # logged with the hyper-parameters, once the run is finished
        measures = {f"test/{name}": value for name, value in self.measures.compute().items()}
        self.log_dict(measures, logger=False, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["model"] = describe(self)
        checkpoint["gains"] = dict(self.gains)
        checkpoint["validated_step"] = self.validated_step

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.gains = check_gains(checkpoint.get("gains", {}))
        step = checkpoint.get("validated_step")
        self.validated_step = step if isinstance(step, int) else -1

    def check_finite(self, what: str, values: dict[str, Tensor], step: int | None = None) -> None:
        """Stop a training that diverged in ``step``, by default the last one.

        Raises:
            InputError: if one of the ``values`` is not finite; the message gives the epoch, the step and all of them.
        """
        if not all(value.isfinite() for value in values.values()):
            terms = ", ".join(f"{name} {value.item():g}" for name, value in values.items())
            step = self.global_step if step is None else step
            raise InputError(
                f"training diverged in epoch {self.current_epoch}, step {step} ({what}: {terms}): "
                "lower optimizer.lr or the weight of the term that grew; checkpoints hold the epochs before"
            )

    def check_weights(self) -> None:
        """Stop a training whose last step diverged: no loss has been computed with its weights yet.

        Raises:
            InputError: if a weight is not finite; the message gives the epoch, the step and the weight.
        """
        largest = {name: parameter.detach().abs().amax() for name, parameter in self.named_parameters()}
        self.check_finite("largest weights", largest)

    @classmethod
    def load_from_checkpoint(cls, *_: Any, **__: Any) -> NoReturn:
        """Raise InputError: Lightning's own method may run code that a file contains."""
        raise InputError("load_from_checkpoint may run code that a file contains: use partae.load(path)")

    def log_losses(self, split: str, losses: Losses, **options: Any) -> None:
        """Log the terms of a split's loss, and their sum as its ``loss``, with the ``options`` of Lightning's log."""
        every: dict[str, Any] = {"on_step": False, "on_epoch": True, "sync_dist": True, **options}
        values = {f"{split}/{name}": value for name, value in with_total(losses).items()}
        self.log(f"{split}/loss", values.pop(f"{split}/loss"), prog_bar=split == "train", **every)
        self.log_dict(values, **every)


def full_precision(device: torch.device) -> torch.autocast:
    """A context without mixed precision: a training measures as `evaluate.py` does."""
    return torch.autocast(device.type, enabled=False)


def with_total(losses: Losses) -> Losses:
    """The terms of a loss, and their sum as ``loss``."""
    return {"loss": torch.stack(list(losses.values())).sum(), **losses}
