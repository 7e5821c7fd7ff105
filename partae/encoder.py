"""Encoders: images (B, C, H, W) -> code (B, K)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from partae.activation import activation as activation_named
from partae.checks import whole


class Dense(nn.Module):
    """Dense layers from the pixels to the code: one (shallow) unless ``hidden`` names more.

    Weights are drawn Glorot-uniform, biases start at 0.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: K, the number of units of the code, at least 1.
        activation: of the code: sigmoid, identity, relu, leaky_relu (slope 0.1), softplus or tanh.
        hidden: widths of the layers between, each followed by a LeakyReLU of slope 0.1.

    Attributes:
        code_range: the interval that each entry of the code lies in.

    Raises:
        InputError: if a size is not a whole number of at least 1, or the activation is unknown.
    """

    def __init__(
        self, image_shape: Sequence[int], latent_dim: int, activation: str = "sigmoid", hidden: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.image_shape = tuple(whole("image_shape", size) for size in image_shape)
        self.latent_dim = whole("latent_dim", latent_dim)
        self.activation = activation
        self.hidden = tuple(whole("encoder.hidden", width) for width in hidden)
        last, self.code_range = activation_named("encoder.activation", activation)

        widths = (math.prod(self.image_shape), *self.hidden, self.latent_dim)
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in itertools.pairwise(widths):
            linear = nn.Linear(inputs, outputs)
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
            layers += [linear, nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers[:-1], last)

    def forward(self, images: Tensor) -> Tensor:
        """Code (B, K) of images (B, C, H, W)."""
        code: Tensor = self.layers(images)
        return code
