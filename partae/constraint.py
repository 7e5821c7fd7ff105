"""Constraints on the atoms: Lightning callbacks around the pure projections of `partae.projection`."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn

from partae import projection
from partae.checks import InputError, flag, real


class Constraint(Callback):
    """Projects the atoms after each training batch, and once before the first of a new run.

    A constraint defines `project`. Validation and every checkpoint see projected atoms. Several constraints apply one
    after another, in the order of the command line.

    Args:
        bias: whether the decoder's bias is projected too, as if it were one more atom.

    Attributes:
        name: the config name, for messages.

    Raises:
        InputError: if ``bias`` is not a bool; or at the start of a training, if the decoder computes its atoms.
    """

    name: ClassVar[str] = "<name>"

    def __init__(self, bias: bool = False) -> None:
        self.bias = flag(f"constraint.{self.name}.bias", bias)

    def project(self, atoms: Tensor) -> Tensor:
        """The nearest atoms (K, C, H, W) that keep the constraint."""
        raise NotImplementedError

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        if not isinstance(pl_module.atoms, nn.Parameter):
            raise InputError(
                f"constraint={self.name} projects atoms that are learned themselves, and "
                f"decoder={type(pl_module.decoder).__name__} computes them: choose constraint=none"
            )
        if trainer.ckpt_path is None:  # projecting again would change the last digits of a resumed run
            self.apply(pl_module.atoms, pl_module.bias)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        self.apply(pl_module.atoms, pl_module.bias)

    @torch.no_grad()
    def apply(self, atoms: Tensor, bias: Tensor, *, stacked: bool = False) -> None:
        """Project ``atoms`` (K, C, H, W), and ``bias`` (C, H, W) where `bias` is true, in place.

        With ``stacked`` both have one more dimension in front, that of the models.
        """
        project = torch.func.vmap(self.project) if stacked else self.project
        atoms.copy_(project(atoms))
        if self.bias:
            one_atom = bias.unsqueeze(-4)
            one_atom.copy_(project(one_atom))


class NonNegative(Constraint):
    """Keeps every value of the atoms at or above 0."""

    name = "nonnegative"

    def project(self, atoms: Tensor) -> Tensor:
        return projection.nonnegative(atoms)


class UnitInterval(Constraint):
    """Keeps every value of the atoms in [0, 1]."""

    name = "unit_interval"

    def project(self, atoms: Tensor) -> Tensor:
        return projection.unit_interval(atoms)


class UnitNorm(Constraint):
    """Keeps the L2 norm of every atom at 1."""

    name = "unit_norm"

    def project(self, atoms: Tensor) -> Tensor:
        return projection.unit_norm(atoms)


class HoyerSparseness(Constraint):
    """Keeps every atom non-negative and at a given Hoyer sparseness, with its L2 norm as it is.

    Args:
        sparseness: of each atom, in [0, 1]; 1 leaves one pixel.
        bias: whether the decoder's bias is projected too.

    Raises:
        InputError: if ``sparseness`` is out of range.
    """

    name = "hoyer"

    def __init__(self, sparseness: float = 0.6, bias: bool = False) -> None:
        super().__init__(bias)
        self.sparseness = real("constraint.hoyer.sparseness", sparseness, low=0, high=1)

    def project(self, atoms: Tensor) -> Tensor:
        return projection.hoyer(atoms.flatten(1), self.sparseness).view_as(atoms)
