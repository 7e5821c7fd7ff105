"""An encoder whose units inhibit one another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from partae.activation import BatchTopK
from partae.checks import InputError, whole, wholes
from partae.encoder.layers import Encoder


class Unrolled(Encoder):
    r"""A shallow encoder whose units then inhibit one another for some steps: learned sparse coding.

    .. math:: h_0 = f(B x + b), \qquad h_{t+1} = f(B x + b + S h_t)

    Sparse coding by gradient steps has this form, with :math:`S = I - B D` for a dictionary D: a unit falls silent
    where others explain the image, which no single layer can do. Here B and S are learned, so that a few steps suffice.
    S starts at 0, where the encoder is shallow.

    Args:
        image_shape: (C, H, W) of the images.
        latent_dim: K, the number of units of the code, at least 1.
        activation: of the code at each step, as of `Encoder`.
        steps: number of steps after the first, 1 to 1000.
        tied: must be false: the layer's weights are not the atoms.

    Attributes:
        interaction: S, (K, K): what each unit (row) adds to each other (column).

    Raises:
        InputError: if a size is not a whole number of at least 1, the activation is unknown or BatchTopK, whose
            threshold is that of one step, or ``tied`` is true.

    Source: Gregor and LeCun, *Learning fast approximations of sparse coding*, ICML (2010).
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_dim: int,
        activation: str | nn.Module = "relu",
        steps: int = 6,
        tied: bool = False,
    ) -> None:
        image_shape = wholes("image_shape", image_shape)
        super().__init__(image_shape, nn.Sequential(nn.Flatten()), math.prod(image_shape), latent_dim, activation, tied)
        if isinstance(self.activate, BatchTopK):
            raise InputError("encoder=unrolled activates at each step, BatchTopK once: choose encoder/activation=topk")
        self.steps = whole("encoder.steps", steps, maximum=1000)
        self.interaction = nn.Parameter(torch.zeros(self.latent_dim, self.latent_dim))

    def forward(self, images: Tensor, atoms: Tensor | None = None) -> Tensor:
        drive = self.last(self.inner(images))
        code = self.activate(drive)
        for _ in range(self.steps):
            code = self.activate(torch.addmm(drive, code, self.interaction))
        return code

    @torch.no_grad()
    def awaken(self, units: Tensor, images: Tensor, chosen: Tensor, size: Tensor) -> None:
        super().awaken(units, images, chosen, size)
        self.interaction[units] = 0
        self.interaction[:, units] = 0
