"""Corruption of the images that the encoder sees in training: images (B, C, H, W) -> images (B, C, H, W).

It makes a denoising auto-encoder, which learns to reconstruct the images from the corrupted ones. Outside of training,
the encoder sees the images as they are.

Source: Vincent et al., *Stacked denoising autoencoders*, Journal of Machine Learning Research 11 (2010).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from partae.checks import real
from partae.printed import Printed


class NoCorruption(nn.Module):
    """The images as they are.

    Attributes:
        is_deterministic: whether it draws nothing at random, so that a stack of models can share it.
    """

    is_deterministic = True

    def forward(self, images: Tensor) -> Tensor:
        """The same images."""
        return images


class Gaussian(Printed):
    """Gaussian noise on each pixel.

    Args:
        std: standard deviation, at least 0.

    Raises:
        InputError: if it is out of range.
    """

    def __init__(self, std: float = 0.2) -> None:
        super().__init__()
        self.std = real("corruption.std", std, low=0)

    def forward(self, images: Tensor) -> Tensor:
        """In training, noisy images, which may leave [0, 1]."""
        return images + self.std * torch.randn_like(images) if self.training else images


class Masking(Printed):
    """A share of the pixels, drawn anew for each image, is set to 0 in all channels; the others are scaled up.

    Args:
        share: of the pixels, in [0, 1).

    Raises:
        InputError: if it is out of range.
    """

    def __init__(self, share: float = 0.3) -> None:
        super().__init__()
        self.share = real("corruption.share", share, low=0, high=1, high_open=True)

    def forward(self, images: Tensor) -> Tensor:
        """In training, images without the masked pixels."""
        return images * F.dropout(torch.ones_like(images[:, :1]), self.share, self.training)
