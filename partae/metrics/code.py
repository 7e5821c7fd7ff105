"""What a code says of the model: how sparse it is, how active, and which units never speak."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchmetrics import MeanMetric, Metric

from partae.sparsity import hoyer_sparsity

DEAD_SHARE = 0.01


class HoyerSparsity(MeanMetric):
    """Mean of `hoyer_sparsity` over all codes."""

    def update(self, code: Tensor) -> None:  # type: ignore[override]
        """Add a code (B, K)."""
        super().update(hoyer_sparsity(code))


class MeanActivation(MeanMetric):
    """Mean of all entries of all codes."""

    def update(self, code: Tensor) -> None:  # type: ignore[override]
        """Add a code (B, K)."""
        super().update(code.mean(dim=1))


def dead_atoms(largest: Tensor, share: float = DEAD_SHARE) -> Tensor:
    """Number of units that never exceed ``share`` of the largest activation: (K,) -> scalar in [0, K]; lower is better.

    Args:
        largest: each unit's largest activation over a set of images, (K,).
        share: of the largest activation of all units, in [0, 1).

    >>> dead_atoms(torch.tensor([0.9, 0.005, 0.1]))
    tensor(1)
    """
    return (largest <= share * largest.max()).sum()


class DeadAtoms(Metric):
    """`dead_atoms` over all codes.

    Args:
        latent_dim: K, the number of units.
        share: of the largest activation of all units, in [0, 1).
    """

    full_state_update = False
    higher_is_better = False
    largest: Tensor

    def __init__(self, latent_dim: int, share: float = DEAD_SHARE) -> None:
        super().__init__()
        self.share = share
        self.add_state("largest", torch.full((latent_dim,), -math.inf), dist_reduce_fx="max")

    def update(self, code: Tensor) -> None:
        """Add a code (B, K)."""
        self.largest = torch.maximum(self.largest, code.amax(dim=0))

    def compute(self) -> Tensor:
        """The number of dead atoms, a scalar."""
        return dead_atoms(self.largest, self.share)
