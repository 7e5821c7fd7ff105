"""Flat morphological operators on images, by a disk, on Kornia; and to train with, by the places of extrema."""

from __future__ import annotations

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
from partae.morphology.extrema import places_of_extrema

Array = TypeVar("Array", NDArray[Any], Tensor)

AT_ONCE = 500  # images

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
    places = places_of_extrema(images, radius, largest=name == "dilation")
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
                return self._of(torch.from_numpy(np.require(images, requirements=("C", "W")))).numpy()
        return self._of(images)

    def _of(self, images: Tensor) -> Tensor:
        if not images.is_floating_point():
            raise InputError(f"{self} needs images of floats; got {images.dtype}: divide images in [0, 255] by 255")
        radius = min(self.radius, images.shape[-2] + images.shape[-1])  # a disk that covers any image
        if torch.is_grad_enabled():  # the atoms of a stack of models do not say that they want a gradient
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
