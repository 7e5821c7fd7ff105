"""Decay of the atoms: atoms (K, C, H, W) -> scalar."""

from __future__ import annotations

from torch import Tensor, nn


class NoDecay(nn.Module):
    """No penalty on the atoms."""

    def forward(self, atoms: Tensor) -> Tensor:
        """Zero, for any atoms (K, C, H, W)."""
        return atoms.new_zeros(())
