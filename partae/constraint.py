"""Constraints on the atoms: Lightning callbacks around the pure projections of `partae.projection`."""

from __future__ import annotations

from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from partae import projection


class Constraint(Callback):
    """Projects the atoms after each optimizer step, and once before the first.

    A constraint defines `project`. Validation and every checkpoint see projected atoms.
    """

    def project(self, atoms: Tensor) -> Tensor:
        """The nearest atoms (K, C, H, W) that keep the constraint."""
        raise NotImplementedError

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._apply(pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self._apply(pl_module)

    @torch.no_grad()
    def _apply(self, model: LightningModule) -> None:
        atoms = cast("Tensor", model.atoms)
        atoms.copy_(self.project(atoms))


class NonNegative(Constraint):
    """Keeps every value of the atoms at or above 0."""

    def project(self, atoms: Tensor) -> Tensor:
        return projection.nonnegative(atoms)
