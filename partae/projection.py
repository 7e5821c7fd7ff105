"""Projections of atoms onto the set that a constraint asks for: pure functions, atoms (K, C, H, W) -> atoms."""

from __future__ import annotations

import torch
from torch import Tensor


def nonnegative(atoms: Tensor) -> Tensor:
    """The nearest atoms without a negative value: each negative value becomes 0.

    >>> import torch
    >>> nonnegative(torch.tensor([-1.0, 0.5]))
    tensor([0.0000, 0.5000])
    """
    return atoms.clamp(min=0)


def unit_interval(atoms: Tensor) -> Tensor:
    """The nearest atoms with values in [0, 1].

    >>> import torch
    >>> unit_interval(torch.tensor([-1.0, 0.5, 1.5]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return atoms.clamp(0, 1)


def unit_norm(atoms: Tensor) -> Tensor:
    """The nearest atoms (K, C, H, W) of L2 norm 1; a zero atom, which has no nearest one, stays zero.

    >>> import torch
    >>> unit_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    norm = atoms.flatten(1).norm(dim=1).view(-1, *[1] * (atoms.dim() - 1))
    return atoms / torch.where(norm > 0, norm, 1)
