"""What a code says of the model: how many of its units are active, how often, and which never."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

DEAD_SHARE = 0.01
CONTRIBUTING_SHARE = 0.001


def l0(code: Tensor, threshold: float = 0.0) -> Tensor:
    """Number of entries of each code whose size exceeds ``threshold``: (B, K) -> (B,), in [0, K]; lower is sparser.

    Args:
        code: (B, K); negative entries count by their absolute value.
        threshold: at least 0. A sigmoid code has no zeros: compare its models at the same threshold above 0.

    >>> l0(torch.tensor([[0.5, 0.0, -2.0], [0.0, 0.0, 0.1]]), threshold=0.2)
    tensor([2., 0.])
    """
    return (code.abs() > threshold).sum(dim=1).float()


def relative_l0(code: Tensor, atoms: Tensor, share: float = DEAD_SHARE) -> Tensor:
    """Number of entries of each code that exceed ``share`` of its largest one: (B, K) -> (B,), in [0, K].

    Each entry is multiplied by the norm of its atom first, so that codes of different scale can be compared. Lower is
    sparser.

    Args:
        code: (B, K); negative entries count by their size.
        atoms: (K, C, H, W).
        share: of the largest entry, in [0, 1).

    >>> relative_l0(torch.tensor([[1.0, 0.001], [0.0, 0.0]]), torch.tensor([1.0, 50.0]).view(2, 1, 1, 1))
    tensor([2., 0.])
    """
    size = code.abs() * atoms.flatten(1).norm(dim=1)
    return (size > share * size.amax(dim=1, keepdim=True)).sum(dim=1).float()


def usage_frequency(code: Tensor, share: float = DEAD_SHARE) -> Tensor:
    """Share of images in which each unit exceeds ``share`` of the largest activation: (B, K) -> (K,), in [0, 1].

    Activations count by their size. The largest is that of all units over all images, as for `dead_atoms`, which are
    the units of frequency 0. A unit that is active in every image has frequency 1.

    Args:
        code: of a whole set of images, (B, K).
        share: of the largest activation, in [0, 1).

    >>> usage_frequency(torch.tensor([[1.0, 0.0], [0.2, 0.0]]), share=0.1)
    tensor([1., 0.])
    """
    size = code.abs()
    return (size > share * size.max()).float().mean(dim=0)


def dead_atoms(largest: Tensor, share: float = DEAD_SHARE) -> Tensor:
    """Number of units that never exceed ``share`` of the largest activation: (K,) -> scalar in [0, K]; lower is better.

    Args:
        largest: the size of each unit's largest activation over a set of images, (K,).
        share: of the largest activation of all units, in [0, 1).

    >>> dead_atoms(torch.tensor([0.9, 0.005, 0.1]))
    tensor(1)
    """
    return (largest <= share * largest.max()).sum()


def contributions(code: Tensor, atoms: Tensor) -> Tensor:
    """How much each atom adds to each image: its entry times its L1 norm.

    Args:
        code: (B, K).
        atoms: (K, C, H, W).

    Returns:
        (B, K), at least 0.

    >>> contributions(torch.tensor([[2.0, -1.0]]), torch.ones(2, 1, 1, 3))
    tensor([[6., 3.]])
    """
    return code.abs() * atoms.abs().flatten(1).sum(dim=1)


class DeadAtoms(Metric):
    """`dead_atoms` over all codes.

    Args:
        latent_dim: K, the number of units.
    """

    full_state_update = False
    higher_is_better = False
    largest: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.add_state("largest", torch.zeros(latent_dim), dist_reduce_fx="max")

    def update(self, code: Tensor) -> None:
        """Add a code (B, K)."""
        self.largest = torch.maximum(self.largest, code.abs().amax(dim=0))

    def compute(self) -> Tensor:
        """The number of dead atoms, a scalar."""
        return dead_atoms(self.largest)


class Contributions(Metric):
    r"""How many atoms add to the images, and how much the code varies between images; over all codes.

    ``contributing_atoms`` counts the atoms whose mean of `contributions` is at least a thousandth of the sum over all
    atoms. A unit may be active, and so not dead, while its atom is nearly 0.

    ``code_variation`` is the share of the code's energy that varies between images,

    .. math:: \sum_j \mathrm{Var}(h_j) \Big/ \sum_j \mathrm{E}(h_j^2),

    0 where the codes of all images are alike or 0, as those of a saturated encoder are.

    Args:
        latent_dim: K, the number of atoms.
    """

    full_state_update = False
    higher_is_better = True
    mass: Tensor
    total: Tensor
    squares: Tensor
    count: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        for name in ("mass", "total", "squares"):
            self.add_state(name, torch.zeros(latent_dim), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, code: Tensor, atoms: Tensor) -> None:
        """Add a code (B, K) of a model with these atoms (K, C, H, W)."""
        code = code.float()
        self.mass = self.mass + contributions(code, atoms).sum(dim=0)
        self.total = self.total + code.sum(dim=0)
        self.squares = self.squares + code.square().sum(dim=0)
        self.count = self.count + len(code)

    def compute(self) -> dict[str, Tensor]:
        """Both measures by their names, a scalar each: in [0, K], and in [0, 1]."""
        energy = self.squares.sum()
        variance = (energy - self.total.square().sum() / self.count).clamp(min=0)
        adds = (self.mass > 0) & (self.mass >= CONTRIBUTING_SHARE * self.mass.sum())
        return {
            "contributing_atoms": adds.sum().float(),
            "code_variation": torch.where(energy > 0, variance / energy, 0.0),
        }
