"""The handwritten digits that come with scikit-learn."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from partae.data.source import Labelled

TESTED = 360  # the last images, of other writers than the first


class Digits:
    """1,797 digits of 8 × 8 pixels, of which the last 360 are test images.

    Source: Alpaydin and Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository (1998).
    """

    classes: tuple[str, ...] = tuple("0123456789")
    image_shape = (1, 8, 8)

    def load(self, split: str) -> Labelled:
        """Images (N, 1, 8, 8) in [0, 1] and labels (N,) of the "train" or "test" set."""
        digits = load_digits()
        kept = slice(None, -TESTED) if split == "train" else slice(-TESTED, None)
        images = torch.from_numpy(digits.images[kept]).float()[:, None] / 16  # its pixels are 0 to 16
        return images, torch.from_numpy(digits.target[kept]).long()
