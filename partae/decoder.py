"""Decoders: code (B, K) -> images (B, C, H, W), by a dictionary of atoms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from partae.activation import activation as activation_named
from partae.checks import flag, real, whole, wholes
from partae.printed import Printed


class Dictionary(Printed):
    r"""Images as an activation of the atoms, weighted by the code, plus a bias.

    .. math:: x = f\Big(\sum_{j=1}^{K} h_j \, w_j + b\Big)

    Atoms are drawn Glorot-uniform.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: K, the number of atoms, at least 1.
        activation: sigmoid, identity, relu, leaky_relu (slope 0.1), softplus, tanh, or another of
            `partae.activation`.
        biased: whether the bias is learned; it stays as it starts otherwise.
        initial_bias: what each entry of the bias starts at; a sigmoid decoder of mostly black images is quicker at what
            it has to learn from below 0.

    Attributes:
        atoms: (K, C, H, W).
        bias: (C, H, W).
        image_range: the interval that each decoded pixel lies in.

    Raises:
        InputError: if a size is not a whole number of at least 1, the activation is unknown, or the initial
            bias is not finite.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        activation: str = "leaky_relu",
        biased: bool = True,
        initial_bias: float = 0.0,
    ) -> None:
        super().__init__()
        self.image_shape = wholes("image_shape", image_shape)
        self.latent_dim = whole("latent_dim", latent_dim)
        self.activation = activation
        self.biased = flag("decoder.biased", biased)
        pixels = math.prod(self.image_shape)
        self.activate, self.image_range = activation_named("decoder.activation", activation, pixels)
        if isinstance(self.activate, nn.ReLU | nn.LeakyReLU):
            self.activate.inplace = True  # the sum in `decode`, which nobody else holds: less memory to go through
        atoms = nn.init.xavier_uniform_(torch.empty(self.latent_dim, pixels))
        self.atoms = nn.Parameter(atoms.view(self.latent_dim, *self.image_shape))
        self.initial_bias = real("decoder.initial_bias", initial_bias)
        self.bias = nn.Parameter(torch.full(self.image_shape, self.initial_bias), requires_grad=biased)

    def decode(self, code: Tensor, atoms: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) of a code (B, K), by other ``atoms`` (K, C, H, W) or ``bias`` (C, H, W) where given."""
        atoms = self.atoms if atoms is None else atoms
        bias = self.bias if bias is None else bias
        weighted = torch.addmm(bias.flatten(), code, atoms.flatten(1))
        images: Tensor = self.activate(weighted)
        return images.unflatten(1, self.image_shape)

    def forward(self, code: Tensor) -> Tensor:
        """Images (B, C, H, W) of a code (B, K)."""
        return self.decode(code)
