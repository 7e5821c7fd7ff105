"""Flat morphological operators on images, by a disk, on Kornia; and as extrema of moved rows, to train with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import kornia.morphology
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from partae.checks import InputError, whole

Array = TypeVar("Array", NDArray[Any], Tensor)

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
    """Kornia's dilation by the disk, with a gradient at a fraction of its cost: images (B, C, H, W) -> (B, C, H, W).

    Each value is gathered from the pixel of its maximum, and the gradient goes back there.
    """
    return _gathered("dilation", images, radius)


def erode(images: Tensor, radius: int) -> Tensor:
    """The dual of `dilate`."""
    return _gathered("erosion", images, radius)


def _gathered(name: str, images: Tensor, radius: int) -> Tensor:
    if images.device.type == "mps":  # Apple's GPUs have no numbers of 64 bits
        operated: Tensor = OPERATORS[name](images, disk(radius).to(images))
        return operated
    places = torch.ops.partae.places_of_extrema(images, radius, name == "dilation")
    return images.flatten(-2).gather(-1, places.flatten(-2)).view_as(images)


def places_of_extrema(images: Tensor, radius: int, largest: bool) -> Tensor:
    """Where in its image, as y W + x, the largest or smallest pixel of the disk around each lies.

    Of equal pixels it is the disk's centre, where that is one of them and they are not negative.

    In double precision, a pixel of single precision leaves 29 bits free. They hold its place, so that pixel and place
    are compared as one number; pixels in double precision are numbered in their order first. A disk is a stack of rows:
    the extrema along a row, which grow by one pixel to each side at a time, are shared by all rows of that width and
    moved up and down. So it takes about 4 ``radius`` extrema of whole batches, where one for each pixel of the disk
    would be about three times its square. PyTorch knows it as an operator, ``partae::places_of_extrema``: that spares
    it the compiler, which makes it slower.

    Args:
        images: (..., H, W), of at most 2^28 pixels each.
        radius: of the disk.
        largest: whether the largest is meant, or the smallest.

    Returns:
        (..., H, W) of int64.
    """
    height, width = images.shape[-2:]
    extreme = torch.maximum if largest else torch.minimum
    if torch.finfo(images.dtype).bits > 32:
        images = images.nan_to_num(math.inf if largest else -math.inf, math.inf, -math.inf)
        numbers = torch.unique(images, return_inverse=True)[1].bitwise_left_shift_(29)
    else:
        numbers = images.double().nan_to_num_(LARGE if largest else -LARGE, LARGE, -LARGE).view(torch.int64)
    first = NORMAL if largest else NORMAL + CENTRE
    places = torch.arange(first, first + height * width, device=images.device).view(height, width)
    extrema = (numbers.add_(places) ^ CENTRE).view(torch.float64)
    pixels = numbers.view(torch.float64)

    def take(best: Tensor, others: Tensor) -> None:
        extreme(best, others, out=best)

    def widen(best: Tensor, reach: int) -> None:
        take(best[..., reach:], pixels[..., :-reach])
        take(best[..., :-reach], pixels[..., reach:])

    along, reach = pixels, 0  # extrema within so many pixels along the row
    for row in range(radius, 0, -1):
        while reach < math.isqrt(radius**2 - row**2):
            reach += 1
            along = along.clone() if along is pixels else along
            widen(along, reach)
        take(extrema[..., row:, :], along[..., :-row, :])
        take(extrema[..., :-row, :], along[..., row:, :])
    if along is not pixels:
        take(extrema, along)
    for further in range(reach + 1, radius + 1):
        widen(extrema, further)
    return extrema.view(torch.int64).bitwise_and_(CENTRE - 1)


CENTRE = 2**28  # the bit before a place that tells a disk's centre, so that it comes first of equals
NORMAL = 2**52  # with it, black pixels are no subnormal numbers, which a processor may be told to take for 0
LARGE = 2.0**1000  # in place of infinity, which has no bits free


def _places_in_mapped(_: Any, in_dims: tuple[int, None, None], images: Tensor, *how: Any) -> tuple[Tensor, int]:
    return torch.ops.partae.places_of_extrema(images.movedim(in_dims[0], 0), *how), 0


# `torch.library.custom_op` wraps a call in more checks: a fifth of this operator's time on a hundred atoms
torch.library.define("partae::places_of_extrema", "(Tensor images, int radius, bool largest) -> Tensor")
torch.library.impl("partae::places_of_extrema", "default", places_of_extrema)
torch.library.register_fake("partae::places_of_extrema", lambda images, *_: torch.empty_like(images, dtype=torch.int64))
torch.library.register_vmap("partae::places_of_extrema", _places_in_mapped)


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

    def __call__(self, images: Array) -> Array:
        """Images (B, C, H, W), a tensor or a numpy array -> images of the same shape and kind."""
        if isinstance(images, np.ndarray):
            with torch.no_grad():
                return self._of(torch.from_numpy(np.require(images, requirements=("C", "W")))).numpy()
        return self._of(images)

    def _of(self, images: Tensor) -> Tensor:
        radius = min(self.radius, images.shape[-2] + images.shape[-1])  # a disk that covers any image
        if torch.is_grad_enabled():  # the atoms of a stack of models do not say that they want a gradient
            return WITH_GRADIENT[self.name](images, radius)
        result: Tensor = OPERATORS[self.name](images, disk(radius).to(images))
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
