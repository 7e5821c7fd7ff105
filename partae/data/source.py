"""What a source of images is."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

Labelled = tuple[Tensor, Tensor]


class Source(Protocol):
    """Images with labels, in two sets.

    Attributes:
        classes: the name of each class.
    """

    classes: tuple[str, ...]

    def prepare(self) -> None:
        """Fetch what is missing to disk. Called in one process before any `load`."""

    def load(self, split: str) -> Labelled:
        """Images (N, C, H, W), uint8 in [0, 255] or float in [0, 1], and labels (N,), of the "train" or "test" set."""
