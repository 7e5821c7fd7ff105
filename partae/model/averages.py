"""Means of the terms of a loss over the batches of an epoch."""

from __future__ import annotations

import copy
import math
from typing import cast

import torch
from pytorch_lightning.strategies import Strategy
from torch import Tensor

from partae.checks import InputError
from partae.sparsity import mean_activation

Losses = dict[str, Tensor]


class Means:
    """Mean of each term of a loss, and of each unit's activation, over the images of all batches so far.

    Each batch is weighted by its images, so that the means do not depend on the size of the batches. They are logged at
    the epoch's end, since Lightning's log at each step costs as much as the step; and summed in place, since a tensor
    kept for each step would fragment the memory.

    Attributes:
        images: number of images.
        finite: number of batches before the first one with a term that is not finite; of the shape of a term.

    >>> means = Means()
    >>> means.add({"reconstruction": torch.tensor(1.0)}, torch.tensor([[0.2], [0.5], [0.8]]))
    tensor([1.])
    >>> means.add({"reconstruction": torch.tensor(2.0)}, torch.tensor([[0.1]]))
    tensor([2.])
    >>> means.compute()
    ({'reconstruction': tensor(1.2500)}, tensor([0.4000]))
    """

    names: tuple[str, ...]
    totals: Tensor  # of all terms, as one tensor: on a GPU a step takes as long as its number of operations
    activation: Tensor
    finite: Tensor

    def __init__(self) -> None:
        self.images = 0

    def add(self, losses: Losses, code: Tensor) -> Tensor:
        """Add the T terms of a batch, and its code (B, K); or those of a stack of n models, each (n,), and (n, B, K).

        Returns:
            The terms, (T,) or (T, n).

        Raises:
            InputError: if a term is not one number for each model.
        """
        if wrong := next((name for name, loss in losses.items() if loss.shape != code.shape[:-2]), None):
            raise InputError(
                f"{wrong} must be one number for a batch; got a tensor of shape {tuple(losses[wrong].shape)}"
            )
        images, activation = code.shape[-2], mean_activation(code.detach())
        terms = torch.stack(list(losses.values()))
        if not self.images:
            self.names = tuple(losses)
            self.totals, self.activation = _zeros(terms), _zeros(activation)
            self.finite = torch.zeros_like(terms[0], dtype=torch.int)
        self.images += images
        self.totals.add_(terms.detach(), alpha=images)
        self.activation.add_(activation.detach(), alpha=images)
        self.finite.add_(torch.linalg.vector_norm(self.totals, math.inf, dim=0) < math.inf)
        return terms

    def of_model(self, index: int) -> Means:
        """The means of one model, of those of a stack of models."""
        own = copy.copy(self)
        own.totals, own.activation, own.finite = self.totals[:, index], self.activation[index], self.finite[index]
        return own

    def compute(self, strategy: Strategy | None = None) -> tuple[Losses, Tensor]:
        """The mean of each term, and the mean activation (K,), over all devices of ``strategy`` where there is one."""

        def of_all(total: Tensor) -> Tensor:
            return cast("Tensor", strategy.reduce(total.clone(), reduce_op="sum")) if strategy else total

        images = of_all(torch.tensor(float(self.images), device=self.totals.device))
        return dict(zip(self.names, of_all(self.totals) / images, strict=True)), of_all(self.activation) / images


def _zeros(values: Tensor) -> Tensor:
    """Zeros of the shape of ``values``, at least in single precision: half would lose small terms of a large sum."""
    return torch.zeros_like(values, dtype=torch.promote_types(values.dtype, torch.float32))
