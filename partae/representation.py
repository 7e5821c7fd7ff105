"""The verbs that every model answers to."""

from __future__ import annotations

from torch import Tensor, nn

from partae.morphology import Operator


class Representation(nn.Module):
    """A part-based representation: a map from images to codes, and atoms that a code puts together again.

    A model defines ``atoms``, ``encode`` and ``decode``; the other verbs follow from these three.
    """

    @property
    def atoms(self) -> Tensor:
        """The dictionary, (K, C, H, W)."""
        raise NotImplementedError

    def encode(self, images: Tensor) -> Tensor:
        """Code (B, K) of images (B, C, H, W) with values in [0, 1]."""
        raise NotImplementedError

    def decode(self, code: Tensor, atoms: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) of a code (B, K), by other ``atoms`` (K, C, H, W) where they are given."""
        raise NotImplementedError

    def reconstruct(self, images: Tensor) -> Tensor:
        """The model's own rendering (B, C, H, W) of images (B, C, H, W)."""
        return self.decode(self.encode(images))

    def max_approximation(self, images: Tensor, operator: Operator) -> Tensor:
        """What ``operator`` would make of ``images``, by operating on the K atoms only: (B, C, H, W)."""
        return self.decode(self.encode(images), atoms=operator(self.atoms))
