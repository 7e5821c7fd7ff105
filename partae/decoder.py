"""Decoders: code (B, K) -> images (B, C, H, W), by a dictionary of atoms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from partae.activation import ANYTHING, Activated, Interval
from partae.checks import InputError, flag, real, whole, wholes

NOT_INCREASING = ("normalised_relu", "logistic")  # they are not one increasing function of each pixel
TINY = 1e-15  # less to a power would be subnormal numbers, with which a processor is slow


class Decoder(nn.Module):
    """What a decoder defines: `atoms`, `bias` and `decode`.

    A constraint projects the atoms and the bias in place: they must be parameters then.

    Attributes:
        atoms: (K, C, H, W).
        bias: (C, H, W).
        bias_is_atom: whether the bias is one more atom: an operator on the atoms is then applied to it, too.
        image_range: the interval of each decoded pixel.
    """

    atoms: Tensor
    bias: Tensor
    bias_is_atom: ClassVar[bool] = False
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


class MaxTimes(Activated, Decoder):
    r"""Images as an activation of the largest of the weighted atoms at each pixel; the bias is an atom of weight 1.

    .. math:: x = f\Big(c \max\big(b, \max_{j=1}^{K} h_j \, w_j\big)\Big)

    A flat dilation commutes with a maximum, with a factor of at least 0 and with an increasing :math:`f`. So decoding
    with dilated atoms *is* the dilation of the reconstruction, by every structuring element. An entry of the code below
    0 counts as 0.

    By the exact gradient, an atom learns nothing of a pixel where another one is larger. With a ``sharpness`` s it
    learns from there, too: its share of the gradient is :math:`(h_j w_j / \max_l h_l w_l)^s`, where that of the largest
    is 1. The images are the same.

    Atoms start as round spots, evenly spread over the image: each is the largest somewhere, and none starts dead.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: K, the number of atoms, at least 1.
        activation: f, increasing and the same for each pixel: a name in `partae.activation.ACTIVATIONS`, as identity or
            tanh; or a module.
        initial_bias: the start of each entry of the bias, at least 0; a bias that starts at 0 is not learned.
        sharpness: of the gradient, 1 to 4; None for the exact one.
        spread: of a spot at first, above 0: its standard deviation as a share of the distance between spots.
        scale: a factor of the maximum, above 0, to which atoms of 1 / ``scale`` fit. Steps of Adam are as large for
            small atoms as for large ones: the larger the scale, the faster atoms learn beside the encoder.

    Raises:
        InputError: if an argument is out of range.
    """

    bias_is_atom = True

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        activation: str | nn.Module = "identity",
        initial_bias: float = 0.0,
        sharpness: int | None = None,
        spread: float = 0.5,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.image_shape = channels, height, width = wholes("image_shape", image_shape)
        self.latent_dim = whole("latent_dim", latent_dim)
        if activation in NOT_INCREASING:
            raise InputError(
                f"decoder=max_times needs an increasing activation, the same for each pixel; got {activation}"
            )
        self.image_range = self.build_activation("decoder.activation", activation, math.prod(self.image_shape))
        self.initial_bias = real("decoder.initial_bias", initial_bias, low=0)
        self.sharpness = None if sharpness is None else whole("decoder.sharpness", sharpness, maximum=4)
        self.spread = real("decoder.spread", spread, low=0, low_open=True)
        self.scale = real("decoder.scale", scale, low=0, low_open=True)
        atoms = _spots(self.latent_dim, height, width, self.spread).repeat(1, channels, 1, 1)
        self.atoms = nn.Parameter(atoms / self.scale)
        self.bias = nn.Parameter(torch.full(self.image_shape, self.initial_bias), requires_grad=self.initial_bias > 0)

    def decode(self, code: Tensor, atoms: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        atoms = self.atoms if atoms is None else atoms
        bias = self.bias if bias is None else bias
        factors = F.pad(F.relu(code), (0, 1), value=1.0)  # (B, K + 1)
        every = torch.cat([atoms, bias[None]]).flatten(1)
        largest = _maximum(factors.detach(), every.detach())
        if torch.is_grad_enabled():
            trace = _shares(factors, every, largest, self.sharpness) if self.sharpness else _winners(factors, every)
            largest = largest + (trace - trace.detach())
        return self.activate(self.scale * largest).unflatten(1, self.image_shape)


# The atoms (K, P) are compared one after another, each by its factors (B, K): nothing of size B K P is in memory.


def _maximum(factors: Tensor, atoms: Tensor) -> Tensor:
    """The largest of the atoms (K, P), times its factor (B, K), at each pixel: (B, P), without a gradient."""
    largest = factors[:, :1] * atoms[0]
    for index in range(1, len(atoms)):
        largest = torch.maximum(largest, factors[:, index, None] * atoms[index])
    return largest


def _winners(factors: Tensor, atoms: Tensor) -> Tensor:
    """The `_maximum`, with its gradient: each pixel is picked from the place of its largest atom."""
    largest = (factors[:, :1] * atoms[0]).detach()
    places = torch.zeros_like(largest, dtype=torch.int64)
    for index in range(1, len(atoms)):
        weighted = (factors[:, index, None] * atoms[index]).detach()
        places.masked_fill_(weighted > largest, index)
        largest = torch.maximum(largest, weighted)
    return factors.gather(1, places) * atoms.gather(0, places)


def _shares(factors: Tensor, atoms: Tensor, largest: Tensor, sharpness: int) -> Tensor:
    """Something (B, P) that has the soft gradient of the ``largest``, the `_maximum`."""
    power = sharpness + 1
    least = TINY ** (1 / power)
    total = F.threshold(factors, least, 0.0).pow(power) @ F.threshold(atoms, least, 0.0).pow(power)
    return total / (power * largest.clamp(min=least**2).pow(sharpness))


def _spots(number: int, height: int, width: int, spread: float) -> Tensor:
    """Round spots (N, 1, H, W) of brightness 1 on black, in rows that are about as far apart as the spots of a row.

    Args:
        number: N.
        height: H.
        width: W.
        spread: the standard deviation of a spot, as a share of the distance between neighbours.
    """
    rows = max(1, round(math.sqrt(number * height / width)))
    along = torch.arange(number) * rows / number  # whole numbers are the ends of rows
    down = (along.floor() + 0.5) * height / rows - 0.5
    right = (along.frac() + 0.5 * rows / number) * width - 0.5
    vertical = torch.arange(height) - down[:, None]
    horizontal = torch.arange(width) - right[:, None]
    squares = vertical.square()[:, :, None] + horizontal.square()[:, None, :]
    brightness = torch.exp(-squares * number / (2 * spread**2 * height * width))[:, None]
    return F.threshold(brightness, 1e-3, 0.0)
