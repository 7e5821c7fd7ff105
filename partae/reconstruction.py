"""Reconstruction losses: (reconstruction, images), both (B, C, H, W) -> scalar."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from partae.activation import ANYTHING


class MSE(nn.Module):
    """Mean over images and pixels of the squared difference; 0 is perfect."""

    image_range = ANYTHING

    def forward(self, reconstruction: Tensor, images: Tensor) -> Tensor:
        """Loss of reconstructions (B, C, H, W) of images (B, C, H, W), a scalar."""
        return F.mse_loss(reconstruction, images)


class BCE(nn.Module):
    r"""Binary cross-entropy of pixels as probabilities, mean over images and pixels; lower is better.

    .. math:: -x \log \hat x - (1 - x) \log (1 - \hat x)

    Its least value is the entropy of the images, not 0. Logarithms are at least -100. A pixel that is not a number
    makes the loss not a number.
    """

    image_range = (0.0, 1.0)

    def forward(self, reconstruction: Tensor, images: Tensor) -> Tensor:
        """Loss of reconstructions (B, C, H, W) of images (B, C, H, W), a scalar."""
        with torch.autocast(reconstruction.device.type, enabled=False):  # half precision would round 1 - x to 0
            reconstruction = reconstruction.to(images)
            unknown = reconstruction.isnan()  # of a diverged model: torch raises an error for it
            loss = F.binary_cross_entropy(reconstruction.masked_fill(unknown, 0.5), images)
            return torch.where(unknown.any(), math.nan, loss)
