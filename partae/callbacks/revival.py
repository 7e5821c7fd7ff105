"""Dead atoms get another chance."""

from __future__ import annotations

from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from partae.checks import InputError, real
from partae.metrics.code import DEAD_SHARE
from partae.model.autoencoder import AutoEncoder


@torch.no_grad()
def revive(model: AutoEncoder, dead: Tensor, images: Tensor) -> None:
    """Give each dead atom the part that is missing from one of the images that are reconstructed worst.

    The atom becomes the positive part of that image's residual, at the mean norm of all atoms. Its unit is drawn afresh
    so that its activation for that image, before the activation function, has the size that the residual asks for
    (`Encoder.awaken`). ``normalised_relu`` then scales the whole code, so the size is about right there.

    Args:
        model: its atoms and the units of its encoder change in place.
        dead: the units, (N,) of int64; only the first B where there are fewer images.
        images: (B, C, H, W), two or more.
    """
    training = model.training
    model.eval()
    missing = (images - model.reconstruct(images)).clamp(min=0)
    sizes = missing.flatten(1).norm(dim=1)
    dead = dead[: len(images)]
    worst = sizes.topk(len(dead)).indices
    norm = model.atoms.flatten(1).norm(dim=1).mean()
    norm = torch.where(norm > 0, norm, 1)  # where all atoms are 0
    model.atoms[dead] = missing[worst] * (norm / sizes[worst].clamp(min=1e-12))[:, None, None, None]
    model.encoder.awaken(dead, images, worst, sizes[worst] / norm)
    model.train(training)


@torch.no_grad()
def reset_state(optimizer: Optimizer, units: Tensor, model: AutoEncoder) -> None:
    """Give units the mean of the others in the state that ``optimizer`` keeps of atoms and the layer to the code.

    The squared gradients of a dead unit have faded to 0: Adam's first step with them would be so large that it dies
    again.

    Args:
        optimizer: its state changes in place.
        units: (N,) of int64.
        model: of K units; the inner layers of its encoder are left alone, even if they have K of their own.
    """
    count = len(model.atoms)
    of_units = [value for name, value in model.encoder.named_parameters() if not name.startswith("inner.")]
    others = torch.ones(count, dtype=torch.bool, device=units.device).index_fill(0, units, value=False)
    if not others.any():
        return
    for parameter in (model.atoms, *of_units):
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, Tensor) and value.shape == parameter.shape and len(value) == count:
                value[units] = value[others].mean(dim=0)


class Revival(Callback):
    """After an epoch, revives the atoms that hardly any training image used in it, from images of the last batch.

    Devices that share each batch count together, and revive the same.

    Args:
        until: share of the training, in [0, 1], after which none are revived, so that the last ones can settle.
        frequency: share of the images, in [0, 1), that must use an atom.
        share: of the largest activation in a batch, in [0, 1), above which an image uses an atom.

    Raises:
        InputError: if an argument is out of range, or the encoder's weights are the atoms.
    """

    def __init__(self, until: float = 0.7, frequency: float = 0.001, share: float = DEAD_SHARE) -> None:
        self.until = real("callbacks.revival.until", until, low=0, high=1)
        self.frequency = real("callbacks.revival.frequency", frequency, low=0, high=1, high_open=True)
        self.share = real("callbacks.revival.share", share, low=0, high=1, high_open=True)
        self.seen = 0
        self.dead = torch.empty(0, dtype=torch.long)
        self.images = torch.empty(0)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        encoder = cast("AutoEncoder", pl_module).encoder
        if getattr(encoder, "tied", False):
            raise InputError("callbacks=revival needs encoder.tied=false: a tied encoder has no weights of its own")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # not at the end of the epoch before: its checkpoint holds the model that was validated
        if len(self.dead) and trainer.current_epoch < self.until * (trainer.max_epochs or 0) and len(self.images) > 1:
            model, dead = cast("AutoEncoder", pl_module), self.dead.to(pl_module.device)
            revive(model, dead, self.images.to(pl_module.device))
            for optimizer in trainer.optimizers:
                reset_state(optimizer, dead, model)
        self.seen = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 0 or len(batch[0]) > 1:  # the last batch of an epoch may hold a single image
            self.images = batch[0]  # as they are: the encoder may see less of them
        size = outputs["code"].abs()
        largest = cast("Tensor", trainer.strategy.reduce(size.max(), reduce_op="max"))
        used = (size > self.share * largest).sum(dim=0)
        self.used: Tensor = self.used + used if self.seen else used
        self.seen += len(size)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        used = cast("Tensor", trainer.strategy.reduce(self.used, reduce_op="sum"))
        self.dead = (used <= self.frequency * self.seen * trainer.world_size).nonzero().flatten()
        if len(self.dead):
            images = cast("Tensor", pl_module.all_gather(self.images))
            self.images = images.reshape(-1, *images.shape[-3:])

    def state_dict(self) -> dict[str, Any]:
        return {"dead": self.dead, "images": self.images if len(self.dead) else torch.empty(0)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.dead, self.images = state_dict["dead"], state_dict["images"]
