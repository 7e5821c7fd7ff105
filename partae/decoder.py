"""Decoders: code (B, K) -> images (B, C, H, W), by a dictionary of atoms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from partae.activation import ANYTHING, Activated, Interval
from partae.checks import flag, real, whole, wholes


class Decoder(nn.Module):
    """What a decoder defines: `atoms`, `bias` and `decode`.

    A constraint projects the atoms and the bias in place: they must be parameters then.

    Attributes:
        atoms: (K, C, H, W).
        bias: (C, H, W).
        image_range: the interval of each decoded pixel.
    """

    atoms: Tensor
    bias: Tensor
    image_range: Interval = ANYTHING

    def decode(self, code: Tensor, atoms: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) of a code (B, K), by other ``atoms`` (K, C, H, W) or ``bias`` (C, H, W) where given."""
        raise NotImplementedError

    def forward(self, code: Tensor) -> Tensor:
        """Images (B, C, H, W) of a code (B, K)."""
        return self.decode(code)


class Dictionary(Activated, Decoder):
    r"""Images as an activation of the atoms, weighted by the code, plus a bias.

    .. math:: x = f\Big(\sum_{j=1}^{K} h_j \, w_j + b\Big)

    Atoms are drawn Glorot-uniform.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: K, the number of atoms, at least 1.
        activation: a name in `partae.activation.ACTIVATIONS`, as identity or leaky_relu (slope 0.1); or a module.
        biased: whether the bias is learned; it stays as it starts otherwise.
        initial_bias: the start of each entry of the bias; below 0, a sigmoid decoder learns mostly black images faster.

    Raises:
        InputError: if a size is not a whole number of at least 1, the activation is unknown, or the initial bias is not
            finite.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        activation: str | nn.Module = "leaky_relu",
        biased: bool = True,
        initial_bias: float = 0.0,
    ) -> None:
        super().__init__()
        self.image_shape = wholes("image_shape", image_shape)
        self.latent_dim = whole("latent_dim", latent_dim)
        self.biased = flag("decoder.biased", biased)
        pixels = math.prod(self.image_shape)
        self.image_range = self.build_activation("decoder.activation", activation, pixels)
        if isinstance(self.activate, nn.ReLU | nn.LeakyReLU):
            self.activate.inplace = True  # nobody else holds the sum in `decode`: less memory to go through
        atoms = nn.init.xavier_uniform_(torch.empty(self.latent_dim, pixels))
        self.atoms = nn.Parameter(atoms.view(self.latent_dim, *self.image_shape))
        self.initial_bias = real("decoder.initial_bias", initial_bias)
        self.bias = nn.Parameter(torch.full(self.image_shape, self.initial_bias), requires_grad=biased)

    def decode(self, code: Tensor, atoms: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        atoms = self.atoms if atoms is None else atoms
        bias = self.bias if bias is None else bias
        return self.activate(torch.addmm(bias.flatten(), code, atoms.flatten(1))).unflatten(1, self.image_shape)
