"""Encoders: images (B, C, H, W) -> code (B, K)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from partae.activation import Logistic
from partae.activation import activation as activation_named
from partae.checks import InputError, flag, whole, wholes


class Dense(nn.Module):
    """Dense layers from the pixels to the code: one (shallow) unless ``hidden`` names more.

    Weights are drawn Glorot-uniform, biases start at 0.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: K, the number of units of the code, at least 1.
        activation: of the code: sigmoid, identity, relu, leaky_relu (slope 0.1), softplus, tanh or logistic (with a
            slope and a bias of its own for each unit, which intrinsic plasticity adapts, in place of the layer's bias).
        hidden: widths of the layers between, each followed by a LeakyReLU of slope 0.1.
        tied: whether the decoder's atoms are the weights of the layer, which then has none of its own.

    Attributes:
        code_range: the interval that each entry of the code lies in.

    Raises:
        InputError: if a size is not a whole number of at least 1, the activation is unknown, or tied weights are asked
            for with hidden layers.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        activation: str = "sigmoid",
        hidden: Sequence[int] = (),
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.image_shape = wholes("image_shape", image_shape)
        self.latent_dim = whole("latent_dim", latent_dim)
        self.activation = activation
        self.hidden = wholes("encoder.hidden", hidden)
        self.tied = flag("encoder.tied", tied)
        if tied and self.hidden:
            raise InputError(f"encoder.tied=true needs encoder.hidden=[]; got encoder.hidden={list(self.hidden)}")

        *inner, last = itertools.pairwise((math.prod(self.image_shape), *self.hidden, self.latent_dim))
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in inner:
            layers += [_linear(inputs, outputs), nn.LeakyReLU(0.1)]
        self.inner = nn.Sequential(*layers)
        self.last = _linear(*last)
        if tied:
            self.last.register_parameter("weight", None)
        self.activate, self.code_range = activation_named("encoder.activation", activation, self.latent_dim)
        if isinstance(self.activate, Logistic):
            self.last.register_parameter("bias", None)

    def forward(self, images: Tensor, atoms: Tensor | None = None) -> Tensor:
        """Code (B, K) of images (B, C, H, W); tied weights are the ``atoms`` (K, C, H, W)."""
        weight = atoms.flatten(1) if self.tied and atoms is not None else self.last.weight
        code: Tensor = self.activate(F.linear(self.inner(images), weight, self.last.bias))
        return code


def _linear(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
