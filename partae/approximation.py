"""The max-approximation error as a loss term: (model, code, images) -> scalar."""

from __future__ import annotations

from torch import Tensor, nn

from partae.representation import Representation


class NoApproximation(nn.Module):
    """No training towards the max-approximation."""

    def forward(self, model: Representation, code: Tensor, images: Tensor) -> Tensor:
        """Zero, for any code (B, K) and images (B, C, H, W)."""
        return code.new_zeros(())
