"""Flat morphological operators on images, by a disk, on Kornia; and the same as maxima of moved rows, to train with."""

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
    if images.dtype == torch.float64:  # more than `places_of_maxima` can compare
        dilated: Tensor = kornia.morphology.dilation(images, disk(radius).to(images))
        return dilated
    return images.flatten(-2).gather(-1, places_of_maxima(images, radius).flatten(-2)).view_as(images)


def erode(images: Tensor, radius: int) -> Tensor:
    """The dual of `dilate`."""
    return 0 - dilate(0 - images, radius)  # minus alone would make -0 of 0


@torch.library.custom_op("partae::places_of_maxima", mutates_args=())
def places_of_maxima(images: Tensor, radius: int) -> Tensor:
    """Where in its image, as y W + x, the largest pixel of the disk around each lies: (..., H, W) -> the same of int64.

    Of equal pixels it is the disk's centre, where that is one of them and they are not negative.

    A pixel of at most 32 bits and its place behind are compared as one number of 64. A disk is a stack of rows: the
    maxima along a row, which grow by one pixel to each side at a time, are shared by all rows of that width and moved
    up and down. So it takes about 4 ``radius`` maxima of whole batches, where one for each pixel of the disk would be
    about three times its square. An operator of its own to PyTorch, it is neither mapped over nor compiled, which would
    make it slower.
    """
    height, width = images.shape[-2:]
    places = torch.arange(height * width, device=images.device).view(height, width)
    numbers = images.float().view(torch.int32).long().bitwise_left_shift_(32).bitwise_or_(places)
    largest = (numbers ^ CENTRE).view(torch.float64)
    pixels = numbers.view(torch.float64)
    along, reach = pixels, 0  # maxima within so many pixels along the row
    for row in range(radius, 0, -1):
        while reach < math.isqrt(radius**2 - row**2):
            reach += 1
            along = along.clone() if along is pixels else along
            _widen(along, pixels, reach)
        _enlarge(largest[..., row:, :], along[..., :-row, :])
        _enlarge(largest[..., :-row, :], along[..., row:, :])
    if along is not pixels:
        _enlarge(largest, along)
    for further in range(reach + 1, radius + 1):
        _widen(largest, pixels, further)
    return largest.view(torch.int64).bitwise_and_(CENTRE - 1)


CENTRE = 2**30  # stands before the place of a disk's centre, so that it is the largest of equals


def _widen(maxima: Tensor, pixels: Tensor, reach: int) -> None:
    _enlarge(maxima[..., reach:], pixels[..., :-reach])
    _enlarge(maxima[..., :-reach], pixels[..., reach:])


def _enlarge(maxima: Tensor, others: Tensor) -> None:
    torch.maximum(maxima, others, out=maxima)


@places_of_maxima.register_fake
def _(images: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(images, dtype=torch.int64)


@places_of_maxima.register_vmap
def _(_: Any, in_dims: tuple[int, None], images: Tensor, radius: int) -> tuple[Tensor, int]:
    return places_of_maxima(images.movedim(in_dims[0], 0), radius), 0


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
