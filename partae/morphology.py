"""Flat morphological operators on images, by a disk, on Kornia; and the same as maxima of moved rows, to train with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import kornia.morphology
import torch
from torch import Tensor
from torch.nn import functional as F

from partae.checks import InputError, whole

OPERATORS = {
    "dilation": kornia.morphology.dilation,
    "erosion": kornia.morphology.erosion,
    "opening": kornia.morphology.opening,
    "closing": kornia.morphology.closing,
}


def disk(radius: int) -> Tensor:
    """The disk of ``radius`` pixels, (2 radius + 1, 2 radius + 1), 1 inside and 0 outside.

    Radius 0 is the pixel itself, radius 1 the cross of five pixels.

    >>> disk(1)
    tensor([[0., 1., 0.],
            [1., 1., 1.],
            [0., 1., 0.]])
    """
    offset = torch.arange(-radius, radius + 1)
    return (offset[:, None] ** 2 + offset[None, :] ** 2 <= radius**2).float()


def dilate(images: Tensor, radius: int) -> Tensor:
    """Kornia's dilation by the disk, with a cheaper gradient: images (B, C, H, W) -> (B, C, H, W).

    A disk is a stack of rows: the maxima along a row, which grow by one pixel to each side at a time, are shared by all
    rows of that width and moved up and down. So it takes about 4 ``radius`` maxima of whole batches, where one for each
    pixel of the disk would be about three times its square.
    """
    height, width = images.shape[-2:]
    padded = F.pad(images, (radius, radius, radius, radius), value=-math.inf)
    within = [padded[..., radius : radius + width]]  # maxima within 0, 1, ... pixels along the row
    for reach in range(1, radius + 1):
        left, right = padded[..., radius - reach :][..., :width], padded[..., radius + reach :][..., :width]
        within.append(torch.maximum(within[-1], torch.maximum(left, right)))
    rows = ((within[math.isqrt(radius**2 - row**2)], radius + row) for row in range(-radius, radius + 1))
    return reduce(torch.maximum, (maxima[..., top : top + height, :] for maxima, top in rows))


def erode(images: Tensor, radius: int) -> Tensor:
    """Kornia's erosion by the disk, with a cheaper gradient: images (B, C, H, W) -> (B, C, H, W)."""
    return -dilate(-images, radius)


WITH_GRADIENT: dict[str, Callable[[Tensor, int], Tensor]] = {
    "dilation": dilate,
    "erosion": erode,
    "opening": lambda images, radius: dilate(erode(images, radius), radius),
    "closing": lambda images, radius: erode(dilate(images, radius), radius),
}


@dataclass(frozen=True)
class Operator:
    """A morphological operator by the disk: images (B, C, H, W) -> images, each image and channel by itself.

    Pixels outside the image do not count: a dilation takes the maximum over the part of the disk that lies inside.

    Args:
        name: dilation, erosion, opening or closing.
        radius: of the disk in pixels, at least 0 (which changes nothing).

    Raises:
        InputError: if there is no such operator, or the radius is not a whole number of at least 0.

    >>> Operator("dilation", 1)(torch.eye(3)[None, None])[0, 0]
    tensor([[1., 1., 0.],
            [1., 1., 1.],
            [0., 1., 1.]])
    """

    name: str
    radius: int

    def __post_init__(self) -> None:
        if self.name not in OPERATORS:
            raise InputError(f"operators must be among {', '.join(OPERATORS)}; got {self.name!r}")
        whole("the radius of operators", self.radius, minimum=0)

    def __call__(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> images of the same shape."""
        if torch.is_grad_enabled() and images.requires_grad:
            return WITH_GRADIENT[self.name](images, self.radius)
        result: Tensor = OPERATORS[self.name](images, disk(self.radius).to(images))
        return result

    def __str__(self) -> str:
        return f"{self.name}:{self.radius}"


dilation = partial(Operator, "dilation")


def operate(images: Tensor, operators: Sequence[Operator]) -> Tensor:
    """What each of O operators makes of images (B, C, H, W): (B, O, C, H, W)."""
    return torch.stack([each(images) for each in operators], dim=1)


def operator(text: str) -> Operator:
    """The operator that a command line calls ``name:radius``.

    Raises:
        InputError: if the text has another form, there is no such operator, or the radius is out of range.

    >>> operator("opening:2")
    Operator(name='opening', radius=2)
    """
    name, _, radius = text.partition(":")
    if not radius.isdecimal():
        raise InputError(f"operators are written as name:radius, for example dilation:1; got {text!r}")
    return Operator(name, int(radius))
