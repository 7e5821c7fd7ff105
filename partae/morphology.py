"""Flat morphological operators by a disk: Kornia's to measure with, and faster ones with a gradient to train with."""

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

AT_ONCE = 500  # images operated on at once

OPERATORS = {
    "dilation": kornia.morphology.dilation,
    "erosion": kornia.morphology.erosion,
    "opening": kornia.morphology.opening,
    "closing": kornia.morphology.closing,
}
CENTRE = 2**28  # the bit above a place that marks the disk's centre, which wins among equals
NORMAL = 2**52  # a bit that keeps black pixels from being subnormal numbers, which a processor may take for 0
LARGE = 2.0**1000  # in place of infinity, which has no free bits


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


@torch.library.custom_op("partae::places_of_extrema", mutates_args=())  # compiling or mapping its bits would fail
def places_of_extrema(images: torch.Tensor, radius: int, largest: bool) -> torch.Tensor:
    """The place y W + x of the largest or smallest pixel of the disk around each pixel.

    In double precision, a pixel of single precision leaves 29 bits free. They hold its place, so that one comparison
    settles both; pixels in double precision are replaced by their ranks first. A disk is a stack of rows: the extrema
    along a row, which widen by one pixel to each side at a time, serve all rows of that width, moved up and down. So it
    takes about 4 ``radius`` extrema of whole batches, where one for each pixel of the disk would be 3 ``radius``².

    Args:
        images: (..., H, W), of at most 2^28 pixels each.
        radius: of the disk, at least 0 and at most H + W.
        largest: True for the largest pixel, False for the smallest.

    Returns:
        (..., H, W) of int64; the centre of the disk, if it is not negative and equals the extremum.
    """
    images, (height, width) = images.contiguous(), images.shape[-2:]
    extreme = torch.maximum if largest else torch.minimum
    if images.dtype == torch.float64:
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

    along, reach = pixels, 0  # the extrema within `reach` pixels along the row
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


@places_of_extrema.register_fake
def _(images: Tensor, *_: Any) -> Tensor:
    return images.new_empty(images.shape, dtype=torch.int64)


@places_of_extrema.register_vmap
def _(_: object, in_dims: tuple[int, None, None], images: Tensor, *arguments: Any) -> tuple[Tensor, int]:
    return places_of_extrema(images.movedim(in_dims[0], 0), *arguments), 0


def dilate(images: Tensor, radius: int) -> Tensor:
    """Kornia's dilation by the disk, with a gradient at a fraction of its cost: images (B, C, H, W) -> (B, C, H, W).

    Each value is gathered from the pixel of its maximum, and the gradient goes back there.
    """
    return _gather("dilation", images, radius)


def erode(images: Tensor, radius: int) -> Tensor:
    """The dual of `dilate`."""
    return _gather("erosion", images, radius)


def _gather(name: str, images: Tensor, radius: int) -> Tensor:
    if images.device.type == "mps":  # Apple's GPUs have no numbers of 64 bits
        operated: Tensor = OPERATORS[name](images, disk(radius).to(images))
        return operated
    places = places_of_extrema(images.detach(), radius, name == "dilation")
    return images.flatten(-2).gather(-1, places.flatten(-2)).view_as(images)


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
        object.__setattr__(self, "radius", whole("the radius of operators", self.radius, minimum=0))

    def __call__(self, images: Array) -> Array:
        """Images (B, C, H, W), a tensor or a numpy array of floats -> images of the same shape and kind.

        Raises:
            InputError: if they are whole numbers.
        """
        if isinstance(images, np.ndarray):
            with torch.no_grad():
                return self._operate(torch.from_numpy(np.require(images, requirements=("C", "W")))).numpy()
        return self._operate(images)

    def _operate(self, images: Tensor) -> Tensor:
        if not images.is_floating_point():
            raise InputError(f"{self} needs images of floats; got {images.dtype}: divide images in [0, 255] by 255")
        radius = min(self.radius, images.shape[-2] + images.shape[-1])  # a disk that covers any image
        if torch.is_grad_enabled():  # not `requires_grad`, which is False for stacked atoms within vmap
            return WITH_GRADIENT[self.name](images, radius)
        result: Tensor = OPERATORS[self.name](images, disk(radius).to(images))
        return result

    def __str__(self) -> str:
        return f"{self.name}:{self.radius}"


dilation = partial(Operator, "dilation")


def operate(images: Tensor, operators: Sequence[Operator]) -> Tensor:
    """Apply each of O operators to images (B, C, H, W): (B, O, C, H, W).

    Only `AT_ONCE` images are operated on at a time, which keeps the memory in between small.
    """
    return torch.cat([torch.stack([each(some) for each in operators], dim=1) for some in images.split(AT_ONCE)])


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
