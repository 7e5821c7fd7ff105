"""What an encoder is."""

from __future__ import annotations

from torch import Tensor, nn

from partae.activation import ANYTHING, Interval


class Encoder(nn.Module):
    """What an encoder defines: `forward` and, to have its units revived, `awaken`.

    Attributes:
        code_range: the interval of each entry of the code.
    """

    code_range: Interval = ANYTHING

    def forward(self, images: Tensor, atoms: Tensor | None = None) -> Tensor:
        """Code (B, K) of images (B, C, H, W), by the decoder's ``atoms`` (K, C, H, W) where it needs them."""
        raise NotImplementedError

    def awaken(self, units: Tensor, images: Tensor, chosen: Tensor, size: Tensor) -> None:
        """Set units anew: each is to respond with ``size`` to one image, and with -``size`` to the mean of all images.

        Args:
            units: (N,) of int64.
            images: (B, C, H, W), two or more.
            chosen: the index of the image that each unit is to respond to, (N,) of int64.
            size: the response of each unit to its image before the activation, (N,).
        """
        raise NotImplementedError
