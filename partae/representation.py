"""The verbs that every model answers to."""

from __future__ import annotations

from torch import Tensor, nn

from partae.morphology import Operator


class Representation(nn.Module):
    """A part-based representation: a map from images to codes, and atoms that a code puts together again.

    A model defines ``atoms``, ``bias``, ``encode`` and ``decode``; the other verbs follow from these.
    """

    @property
    def atoms(self) -> Tensor:
        """The dictionary, (K, C, H, W)."""
        raise NotImplementedError

    @property
    def bias(self) -> Tensor:
        """What is added to the weighted atoms, (C, H, W)."""
        raise NotImplementedError

    def encode(self, images: Tensor) -> Tensor:
        """Code (B, K) of images (B, C, H, W) with values in [0, 1]."""
        raise NotImplementedError

    def decode(self, code: Tensor, atoms: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) of a code (B, K), by other ``atoms`` (K, C, H, W) or ``bias`` (C, H, W) where given."""
        raise NotImplementedError

    def reconstruct(self, images: Tensor) -> Tensor:
        """The model's own rendering (B, C, H, W) of images (B, C, H, W)."""
        return self.decode(self.encode(images))

    def max_approximation(self, images: Tensor, operator: Operator, *, bias: bool = False) -> Tensor:
        """What ``operator`` would make of ``images``, by operating on the K atoms only: (B, C, H, W).

        With ``bias`` the operator is applied to the bias too.
        """
        return self.max_approximation_of_code(self.encode(images), operator, bias=bias)

    def max_approximation_of_code(self, code: Tensor, operator: Operator, *, bias: bool = False) -> Tensor:
        """The max-approximation (B, C, H, W) of the images that have the code (B, K)."""
        return self.decode(code, operator(self.atoms), operator(self.bias[None])[0] if bias else None)
