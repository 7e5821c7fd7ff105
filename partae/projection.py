"""Projections of atoms onto the set that a constraint asks for: pure functions, atoms (K, C, H, W) -> atoms."""

from __future__ import annotations

from torch import Tensor


def nonnegative(atoms: Tensor) -> Tensor:
    """The nearest atoms without a negative value: each negative value becomes 0.

    >>> import torch
    >>> nonnegative(torch.tensor([-1.0, 0.5]))
    tensor([0.0000, 0.5000])
    """
    return atoms.clamp(min=0)
