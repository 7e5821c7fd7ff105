"""The auto-encoder: an encoder, a dictionary of atoms, and the terms of a loss, trained by Lightning."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

import torch
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from partae.activation import ANYTHING
from partae.approximation import Approximation, NoApproximation
from partae.checks import InputError
from partae.corruption import NoCorruption
from partae.data import DataModule
from partae.decay import NoDecay
from partae.decoder import Decoder
from partae.model.averages import Losses, Means
from partae.model.lightning import Batch, Measured, with_total
from partae.morphology import Operator
from partae.reconstruction import MSE
from partae.schedule import Constant, by_step
from partae.sparsity import NoSparsity


class AutoEncoder(Measured):
    """Composes the modules below and sums their loss terms.

    Any of them may have two hooks: ``check_fit(model)``, which refuses a model that it does not fit; and
    ``adapt(model)``, called after each training step, for what a module learns without a gradient.

    Args:
        encoder: images (B, C, H, W) -> code (B, K) in its ``code_range``.
        decoder: code -> images in its ``image_range``, by ``atoms`` (K, C, H, W).
        reconstruction: loss of (reconstruction, images).
        sparsity: penalty on the code.
        decay: penalty on the atoms.
        approximation: loss of the max-approximation.
        corruption: images -> the images that the encoder sees in training.
        optimizer: parameters -> optimizer.
        schedule: progress of the training in [0, 1] -> factor of the learning rate.

    Raises:
        InputError: if the penalty or the loss does not fit the encoder's or decoder's activation.
    """

    terms: ClassVar[tuple[str, ...]] = ("reconstruction", "sparsity", "decay", "approximation")
    encoder: Any  # not each has layers

    def __init__(
        self,
        encoder: nn.Module,
        decoder: Decoder,
        reconstruction: nn.Module | None = None,
        sparsity: nn.Module | None = None,
        decay: nn.Module | None = None,
        approximation: nn.Module | None = None,
        corruption: nn.Module | None = None,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = Adam,
        schedule: Callable[[float], float] = Constant(),  # noqa: B008
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.reconstruction = reconstruction or MSE()
        self.sparsity = sparsity or NoSparsity()
        self.decay = decay or NoDecay()
        self.approximation = approximation or NoApproximation()
        self.corruption = corruption or NoCorruption()
        self.optimizer = optimizer
        self.schedule = schedule
        _check_fit(self)

    def _encode(self, images: Tensor) -> Tensor:
        return self.encoder(images, self.atoms)

    def first_gain(self, operator: Operator) -> float:
        return cast("Approximation", self.approximation).gain(operator)

    @property
    def operators(self) -> tuple[Operator, ...]:
        return cast("tuple[Operator, ...]", self.approximation.applied)

    def losses_of_batch(self, images: Tensor, operated: Tensor | None = None) -> tuple[Losses, Tensor]:
        return self.losses_of_seen(self.corruption(images), images, operated)

    def losses_of_seen(self, seen: Tensor, images: Tensor, operated: Tensor | None = None) -> tuple[Losses, Tensor]:
        """As `losses_of_batch`, where the encoder sees ``seen`` (B, C, H, W) of the images."""
        code = self.encoder(seen, self.atoms)
        losses = {
            "reconstruction": self.reconstruction(self.decoder(code), images),
            "sparsity": self.sparsity(self.of_all_processes(code)),
            "decay": self.decay(self.atoms),
            "approximation": self.approximation(self, code, images, operated),
        }
        return losses, code

    def losses_of_set(self, means: Losses, activation: Tensor) -> Losses:
        of_mean = getattr(self.sparsity, "of_mean", None)  # which the mean over the batches is not
        return means | {"sparsity": of_mean(activation)} if of_mean else means

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = self.build_optimizer(self.parameters())
        scheduler = LambdaLR(optimizer, by_step(self.schedule, int(self.trainer.estimated_stepping_batches)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def build_optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """The optimizer of ``parameters``, which may be those of several models of the same settings.

        Raises:
            InputError: if an argument of the optimizer is unknown or out of range.
        """
        try:
            return self.optimizer(parameters)
        except (TypeError, ValueError, IndexError) as error:
            arguments = ", ".join(f"{key}={value}" for key, value in getattr(self.optimizer, "keywords", {}).items())
            raise InputError(f"optimizer cannot be built with {arguments}: {error}") from error

    def setup(self, stage: str) -> None:
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, DataModule):
            data.operate(self.operators)

    def on_train_epoch_start(self) -> None:
        self.train_means, self.first_step = Means(), self.global_step + 1
        if self._is_shared:  # each process draws numbers of its own, and the same ones after a resume
            drawn = self.trainer.strategy.broadcast(int(torch.randint(2**31, ())))
            torch.manual_seed(drawn + self.global_rank)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        losses, code = self.losses_of_batch(batch[0], *batch[2:])
        return {"loss": self.train_means.add(losses, code).sum(), "code": code.detach()}

    def on_validation_start(self) -> None:
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            self._checked_train_means()

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        losses = self._checked_train_means()
        self.log_losses("train", losses, logger=False)
        # Lightning logs after the epoch's checkpoint: a run that is killed in between would lack these values
        values = {f"train/{name}": value.item() for name, value in with_total(losses).items()}
        for logger in self.loggers:
            logger.log_metrics(values, self.global_step - 1)

    def _checked_train_means(self) -> Losses:
        """Each loss term over the images of the epoch so far; raises InputError if one is not finite."""
        means = self.losses_of_set(*self.train_means.compute(self.trainer.strategy))
        batches = self.trainer.accumulate_grad_batches  # of a step
        self.check_finite("mean losses", means, self.first_step + int(self.train_means.finite) // batches)
        return means

    def on_train_batch_end(self, *_: Any) -> None:
        for module in self.children():
            if adapt := getattr(module, "adapt", None):
                adapt(self)

    @property
    def _is_shared(self) -> bool:
        """Whether several processes train on each batch."""
        return self._trainer is not None and self._trainer.world_size > 1

    def of_all_processes(self, rows: Tensor) -> Tensor:
        """The rows of the whole batch, gathered from all processes that share it in training."""
        if not (self.training and self._is_shared):
            return rows
        gathered = list(cast("Tensor", self.all_gather(rows.detach())))
        # own rows have a gradient, times the number of processes, over which gradients are averaged later
        gathered[self.global_rank] = rows.detach() + len(gathered) * (rows - rows.detach())
        return torch.cat(gathered)


def _check_fit(model: AutoEncoder) -> None:
    """Refuse modules that do not fit, as a penalty or loss whose domain the chosen activations may leave."""
    for module in model.children():
        if check := getattr(module, "check_fit", None):
            check(model)
    for group, module, interval, source, giver, what in (
        ("sparsity", model.sparsity, "code_range", "encoder", model.encoder, "a code"),
        ("reconstruction", model.reconstruction, "image_range", "decoder", model.decoder, "a reconstruction"),
    ):
        needed, given = getattr(module, interval, ANYTHING), getattr(giver, interval, ANYTHING)
        if given[0] < needed[0] or given[1] > needed[1]:
            name, mend = f"={type(giver).__name__}", f"another {source}"
            if hasattr(giver, "activation"):
                name, mend = f".activation={giver.activation}", f"{source}.activation=sigmoid"
            elif not hasattr(giver, interval):
                mend = f"another {source} (one of your own states its interval as {interval})"
            raise InputError(
                f"{group}={type(module).__name__.lower()} needs {what} in [{needed[0]:g}, {needed[1]:g}], but "
                f"{source}{name} gives values in [{given[0]:g}, {given[1]:g}]: choose {mend} or another {group}"
            )
