"""What a code says of the model: how sparse it is, how active, and which units seldom or never speak."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from partae.checks import real
from partae.metrics.mean import Mean
from partae.sparsity import hoyer_sparsity

DEAD_SHARE = 0.01


class HoyerSparsity(Mean):
    """Mean of `hoyer_sparsity` over all codes."""

    def update(self, code: Tensor) -> None:  # type: ignore[override]
        """Add a code (B, K)."""
        super().update(hoyer_sparsity(code))


class MeanActivation(Mean):
    """Mean of all entries of all codes."""

    def update(self, code: Tensor) -> None:  # type: ignore[override]
        """Add a code (B, K)."""
        super().update(code.mean(dim=1))


class UnitActivation(Metric):
    """Mean activation of each unit over all codes, (K,).

    Args:
        latent_dim: K, the number of units.
    """

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(latent_dim, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, code: Tensor) -> None:
        """Add a code (B, K)."""
        self.total += code.sum(dim=0)
        self.count += len(code)

    def compute(self) -> Tensor:
        """Each unit's mean activation, (K,)."""
        return (self.total / self.count).float()


def l0(code: Tensor, threshold: float = 0.0) -> Tensor:
    """Number of entries of each code whose size exceeds ``threshold``: (B, K) -> (B,), in [0, K]; lower is sparser.

    Args:
        code: (B, K); negative entries count by their absolute value.
        threshold: at least 0. A sigmoid code has no zeros: compare its models at the same threshold above 0.

    >>> l0(torch.tensor([[0.5, 0.0, -2.0], [0.0, 0.0, 0.1]]), threshold=0.2)
    tensor([2., 0.])
    """
    return (code.abs() > threshold).sum(dim=1).float()


class L0(Mean):
    """Mean of `l0` over all codes.

    Args:
        threshold: at least 0.
    """

    def __init__(self, threshold: float = 0.0) -> None:
        super().__init__()
        self.threshold = real("threshold", threshold, low=0)

    def update(self, code: Tensor) -> None:  # type: ignore[override]
        """Add a code (B, K)."""
        super().update(l0(code, self.threshold))


def usage_frequency(code: Tensor, share: float = DEAD_SHARE) -> Tensor:
    """Share of images in which each unit exceeds ``share`` of the largest activation: (B, K) -> (K,), in [0, 1].

    Activations count by their size. The largest is that of all units over all images, as for `dead_atoms`: these are
    the units with frequency 0. A part of few images has a small frequency, a unit that always speaks has 1.

    Args:
        code: of a whole set of images, (B, K).
        share: of the largest activation, in [0, 1).

    >>> usage_frequency(torch.tensor([[1.0, 0.0], [0.2, 0.0]]), share=0.1)
    tensor([1., 0.])
    """
    size = code.abs()
    return (size > share * size.max()).float().mean(dim=0)


class UsageFrequency(Metric):
    """`usage_frequency` over all codes, which it keeps: the largest activation is known only after the last of them.

    Args:
        share: of the largest activation of all units, in [0, 1).
    """

    full_state_update = False
    codes: list[Tensor]

    def __init__(self, share: float = DEAD_SHARE) -> None:
        super().__init__()
        self.share = real("share", share, low=0, high=1, high_open=True)
        self.add_state("codes", [], dist_reduce_fx="cat")

    def update(self, code: Tensor) -> None:
        """Add a code (B, K)."""
        self.codes.append(code.detach())

    def compute(self) -> Tensor:
        """Each unit's frequency, (K,)."""
        return usage_frequency(dim_zero_cat(self.codes), self.share)


def dead_atoms(largest: Tensor, share: float = DEAD_SHARE) -> Tensor:
    """Number of units that never exceed ``share`` of the largest activation: (K,) -> scalar in [0, K]; lower is better.

    Args:
        largest: the size of each unit's largest activation over a set of images, (K,).
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
        self.share = real("share", share, low=0, high=1, high_open=True)
        self.add_state("largest", torch.zeros(latent_dim), dist_reduce_fx="max")

    def update(self, code: Tensor) -> None:
        """Add a code (B, K)."""
        self.largest = torch.maximum(self.largest, code.abs().amax(dim=0))

    def compute(self) -> Tensor:
        """The number of dead atoms, a scalar."""
        return dead_atoms(self.largest, self.share)
