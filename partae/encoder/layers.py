"""Encoders by layers: images (B, C, H, W) -> code (B, K)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from partae.activation import Activated, Logistic
from partae.checks import InputError, flag, whole, wholes

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


class Encoder(Activated):
    """Inner layers from the images to features, then one dense layer and an activation to the code.

    Weights are drawn Glorot-uniform, biases start at 0.

    Args:
        image_shape: (C, H, W) of the images.
        inner: images (B, C, H, W) -> features (B, F).
        features: F.
        latent_dim: K, the number of units of the code, at least 1.
        activation: of the code: a name in `partae.activation.ACTIVATIONS`, or a module. The units of logistic have a
            slope and a bias of their own, in place of the layer's bias.
        tied: whether the decoder's atoms are the weights of the dense layer, which then has none of its own.

    Attributes:
        code_range: the interval of each entry of the code.

    Raises:
        InputError: if a size is not a whole number of at least 1, or the activation is unknown.
    """

    can_be_tied = False  # with weights that are the atoms

    def __init__(
        self,
        image_shape: tuple[int, ...],
        inner: nn.Sequential,
        features: int,
        latent_dim: int,
        activation: str | nn.Module,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.latent_dim = whole("latent_dim", latent_dim)
        self.tied = flag("encoder.tied", tied)
        if tied and not self.can_be_tied:
            raise InputError(f"encoder.tied=true needs encoder=dense; got encoder={type(self).__name__.lower()}")
        self.inner = inner
        self.last = _initialise(nn.Linear(features, self.latent_dim))
        self.code_range = self.build_activation("encoder.activation", activation, self.latent_dim)
        if isinstance(self.activate, Logistic):
            self.last.register_parameter("bias", None)
        if tied:
            self.last.register_parameter("weight", None)

    def forward(self, images: Tensor, atoms: Tensor | None = None) -> Tensor:
        """Code (B, K) of images (B, C, H, W); tied weights are the ``atoms`` (K, C, H, W)."""
        features = self.inner(images)
        if not self.tied:
            return self.activate(self.last(features))
        if atoms is None:
            raise InputError("an encoder with encoder.tied=true has no weights of its own: give it the atoms")
        return self.activate(F.linear(features, atoms.flatten(1), self.last.bias))

    @torch.no_grad()
    def awaken(self, units: Tensor, images: Tensor, chosen: Tensor, size: Tensor) -> None:
        """Set the weights of units anew: ``size`` for one image each, and -``size`` for the mean of all images.

        Args:
            units: (N,) of int64.
            images: (B, C, H, W), two or more.
            chosen: the index of the image that each unit is to respond to, (N,) of int64.
            size: the response of each unit to its image before the activation, (N,).
        """
        features = self.inner(images)
        mean = features.mean(dim=0)
        contrast = features[chosen] - mean
        weight = 2 * size[:, None] * contrast / contrast.square().sum(dim=1, keepdim=True).clamp(min=1e-12)
        self.last.weight[units] = weight
        if self.last.bias is not None:
            self.last.bias[units] = -(weight @ mean) - size


class Dense(Encoder):
    """Dense layers from the pixels to the code: a single one unless ``hidden`` names more.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: K, the number of units of the code, at least 1.
        activation: of the code, as of `Encoder`.
        hidden: widths of the layers between, each followed by a LeakyReLU of slope 0.1.
        batch_norm: whether the layers between are normalised over the batch, before their activation.
        tied: whether the decoder's atoms are the weights of the layer, which then has none of its own.

    Raises:
        InputError: if a size is not a whole number of at least 1, the activation is unknown, ``tied`` is true with
            hidden layers, or ``batch_norm`` without.
    """

    can_be_tied = True

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        activation: str | nn.Module = "sigmoid",
        hidden: Sequence[int] = (),
        batch_norm: bool = False,
        tied: bool = False,
    ) -> None:
        image_shape = wholes("image_shape", image_shape)
        hidden = wholes("encoder.hidden", hidden)
        if flag("encoder.tied", tied) and hidden:
            raise InputError(f"encoder.tied=true needs encoder.hidden=[]; got encoder.hidden={list(hidden)}")
        if flag("encoder.batch_norm", batch_norm) and not hidden:
            raise InputError("encoder.batch_norm=true needs hidden layers to normalise; got encoder.hidden=[]")
        widths = (math.prod(image_shape), *hidden)
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in itertools.pairwise(widths):
            layers += _normalised(inputs, outputs) if batch_norm else [_initialise(nn.Linear(inputs, outputs))]
            layers.append(nn.LeakyReLU(0.1))
        super().__init__(image_shape, nn.Sequential(*layers), widths[-1], latent_dim, activation, tied)
        self.hidden, self.batch_norm = hidden, batch_norm


class Conv(Encoder):
    """Two convolutions and two dense layers from the images to the code: the encoder of the asymmetric auto-encoder.

    64 filters 4 × 4 of stride 2; 128 filters 4 × 4 of stride 2, batch norm; dense to 1024 features, batch norm; each
    followed by a LeakyReLU of slope 0.1; dense to the code. Each convolution halves the sides, rounded down.

    Args:
        image_shape: (C, H, W) of the images, H and W at least 8.
        latent_dim: K, the number of units of the code, at least 1.
        activation: of the code, as of `Encoder`.
        tied: must be false: convolutions have no weights that could be the atoms.

    Raises:
        InputError: if a size is not a whole number of at least 1, the images are smaller than 8 × 8, the activation is
            unknown, or ``tied`` is true.

    Source: Chen et al., *InfoGAN: interpretable representation learning by information maximizing generative
    adversarial nets*, NIPS 29 (2016), whose recognition network it is, without that network's second output.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        activation: str | nn.Module = "sigmoid",
        tied: bool = False,
    ) -> None:
        channels, height, width = image_shape = wholes("image_shape", image_shape)
        if min(height, width) < 8:
            raise InputError(f"encoder=conv needs at least 8 by 8 pixels; got data.image_shape={list(image_shape)}")
        inner = nn.Sequential(
            _initialise(nn.Conv2d(channels, 64, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.1),
            _initialise(nn.Conv2d(64, 128, 4, stride=2, padding=1, bias=False)),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            *_normalised(128 * (height // 4) * (width // 4), 1024),
            nn.LeakyReLU(0.1),
        )
        super().__init__(image_shape, inner, 1024, latent_dim, activation, tied)


class BatchNorm(nn.BatchNorm1d):
    """Batch norm that normalises a single image, which has no variance, by the running mean and variance."""

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and len(inputs) == 1:
            return F.batch_norm(inputs, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(inputs)


def _normalised(inputs: int, outputs: int) -> list[nn.Module]:
    """A dense layer and its batch norm, whose shift takes the place of the layer's bias."""
    return [_initialise(nn.Linear(inputs, outputs, bias=False)), BatchNorm(outputs)]


def _initialise(layer: Layer) -> Layer:
    """Give the layer Glorot-uniform weights and biases of 0, and return it."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
