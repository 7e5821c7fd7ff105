"""Reconstruction losses: (reconstruction, images), both (B, C, H, W) -> scalar."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from partae.activation import ANYTHING


class MSE(nn.Module):
    """Mean over images and pixels of the squared difference; 0 is perfect."""

    image_range = ANYTHING

    def forward(self, reconstruction: Tensor, images: Tensor) -> Tensor:
        """Loss of reconstructions (B, C, H, W) of images (B, C, H, W), a scalar."""
        return F.mse_loss(reconstruction, images)
