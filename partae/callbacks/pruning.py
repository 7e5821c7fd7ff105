"""Dense-sparse-dense training: a phase in which the small values are cut, between two without."""

from __future__ import annotations

from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.utils.prune import L1Unstructured

from partae.checks import InputError, one_of, real, whole
from partae.constraint import HoyerSparseness


def large_values(values: Tensor, share: float | None, threshold: float | None) -> Tensor:
    """Where values are large: 1 where a size is above ``threshold``, or not among the smallest ``share``; else 0.

    Args:
        values: of any shape.
        share: of the values that are small, in [0, 1]; give this or ``threshold``.
        threshold: the largest size of a small value.

    >>> large_values(torch.tensor([0.1, -3.0, 2.0, 0.0]), share=0.5, threshold=None)
    tensor([0., 1., 1., 0.])
    """
    if threshold is not None:
        return (values.abs() > threshold).to(values)
    return cast("Tensor", L1Unstructured(float(share or 0)).compute_mask(values, torch.ones_like(values)))


class DenseSparseDense(Callback):
    """Cuts small values during the epochs ``begin`` to ``end - 1``.

    Atoms: the values that are small when epoch ``begin`` starts stay 0 until epoch ``end``, when they may grow again.
    Code: the small entries of each batch are cut during training in that phase.

    Args:
        target: "atoms" or "code".
        begin: the first epoch of the sparse phase, counted from 0.
        end: the first epoch after it, above ``begin``.
        share: of the values to cut, in [0, 1]; give this or ``threshold``.
        threshold: size at or below which values are cut, at least 0.

    Raises:
        InputError: if an argument is out of range, not exactly one of ``share`` and ``threshold`` is given, or a
            constraint would fill the atoms again.

    Source: Han et al., *DSD: dense-sparse-dense training for deep neural networks*, ICLR (2017), for the atoms.
    """

    def __init__(
        self,
        target: str = "atoms",
        begin: int = 15,
        end: int = 30,
        share: float | None = None,
        threshold: float | None = None,
    ) -> None:
        key = "callbacks.pruning"
        self.target = one_of(f"{key}.target", target, ("atoms", "code"))
        self.begin = whole(f"{key}.begin", begin, minimum=0)
        self.end = whole(f"{key}.end", end, minimum=self.begin + 1)
        if (share is None) == (threshold is None):
            raise InputError(f"give one of {key}.share and {key}.threshold; got {share!r} and {threshold!r}")
        self.share = None if share is None else real(f"{key}.share", share, low=0, high=1)
        self.threshold = None if threshold is None else real(f"{key}.threshold", threshold, low=0)
        self.mask: Tensor | None = None
        self.is_sparse = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.target == "code":
            self.hook = cast("nn.Module", pl_module.encoder).register_forward_hook(self._cut)
        elif any(isinstance(each, HoyerSparseness) for each in cast("Any", trainer).callbacks):
            raise InputError(
                "constraint=hoyer fills atoms that callbacks=dense_sparse_dense has cut: leave out one of the two"
            )

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.target == "code":
            self.hook.remove()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.is_sparse = self.begin <= trainer.current_epoch < self.end
        if self.target == "code" or not self.is_sparse:
            self.mask = None
        elif self.mask is None:
            self.mask = large_values(cast("Tensor", pl_module.atoms).detach(), self.share, self.threshold)
        else:  # a checkpoint's
            self.mask = self.mask.to(pl_module.device)
        self.on_train_batch_end(trainer, pl_module)

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self.mask is not None:
            cast("Tensor", pl_module.atoms).mul_(self.mask)

    def _cut(self, encoder: nn.Module, arguments: Any, code: Tensor) -> Tensor:
        is_cut = self.is_sparse and encoder.training
        return code * large_values(code.detach(), self.share, self.threshold) if is_cut else code

    @property
    def state_key(self) -> str:
        return f"{super().state_key}.{self.target}"

    def state_dict(self) -> dict[str, Any]:
        return {"mask": self.mask}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.mask = state_dict["mask"]
