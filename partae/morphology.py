"""Flat morphological operators on images, by a disk, on Kornia; and the max-approximation of one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import kornia.morphology
import torch
from torch import Tensor

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
        kernel = disk(self.radius).to(images)
        result: Tensor = OPERATORS[self.name](images, kernel)
        return result

    def __str__(self) -> str:
        return f"{self.name}:{self.radius}"


dilation = partial(Operator, "dilation")


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
