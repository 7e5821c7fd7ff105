"""Flat morphological operators: Kornia's to measure with, and faster ones with a gradient to train with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import sub
from typing import Any, TypeVar

import kornia.morphology
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from partae.checks import InputError, check_floats
from partae.footprint import build, canonical, rows_of, short, split

Array = TypeVar("Array", NDArray[Any], Tensor)

MOST_CHANNELS = 4  # of an image
AT_ONCE = 500  # images operated on at once

OPERATORS = {
    "dilation": kornia.morphology.dilation,
    "erosion": kornia.morphology.erosion,
    "opening": kornia.morphology.opening,
    "closing": kornia.morphology.closing,
    "gradient": kornia.morphology.gradient,
    "top_hat": kornia.morphology.top_hat,
    "bottom_hat": kornia.morphology.bottom_hat,
}
CENTRE = 2**28  # the bit above a place that marks the footprint's middle, which wins among equals
NORMAL = 2**52  # a bit that keeps black pixels from being subnormal numbers, which a processor may take for 0
LARGE = 2.0**1000  # in place of infinity, which has no free bits


@torch.library.custom_op("partae::places_of_extrema", mutates_args=())  # compiling or mapping its bits would fail
def places_of_extrema(images: torch.Tensor, footprint: str, largest: bool) -> torch.Tensor:
    """The place y W + x of the largest or smallest pixel of the footprint around each pixel.

    In double precision, a pixel of single precision leaves 29 bits free. They hold its place, so that one comparison
    settles both; pixels in double precision are replaced by their ranks first. The extrema along a row, which widen by
    one pixel to each side at a time, serve all rows of the footprint as far as these are symmetric; other pixels come
    one by one. So a disk takes about 4 radius extrema of whole batches, where each of its pixels would be 3 radius².

    Args:
        images: (..., H, W), of at most 2^28 pixels each.
        footprint: rows of 1 inside and 0 outside with dots between them, of odd number and length, as "010.111.010",
            with the middle pixel inside. A text, since the host plans by it and a tensor might be on another device.
        largest: True for the largest pixel, False for the smallest.

    Returns:
        (..., H, W) of int64; the middle of the footprint, if it is not negative and equals the extremum.
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

    def take(best: Tensor, others: Tensor, down: int, right: int) -> None:
        if abs(down) < height and abs(right) < width:
            best = best[..., max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
            others = others[..., max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
            extreme(best, others, out=best)

    runs, others = split(footprint)
    along, reached = pixels.clone(), 0  # the extrema within `reached` pixels along the row
    for reach, down in runs:
        while reached < min(reach, width - 1):
            reached += 1
            take(along, pixels, 0, reached)
            take(along, pixels, 0, -reached)
        take(extrema, along, down, 0)
    for down, right in others:
        take(extrema, pixels, down, right)
    return extrema.view(torch.int64).bitwise_and_(CENTRE - 1)


@places_of_extrema.register_fake
def _(images: Tensor, *_: Any) -> Tensor:
    return images.new_empty(images.shape, dtype=torch.int64)


@places_of_extrema.register_vmap
def _(_: object, in_dims: tuple[int, None, None], images: Tensor, *arguments: Any) -> tuple[Tensor, int]:
    return places_of_extrema(images.movedim(in_dims[0], 0), *arguments), 0


def dilate(images: Tensor, footprint: Tensor) -> Tensor:
    """Kornia's dilation, with a gradient at a fraction of its cost: images (B, C, H, W) -> (B, C, H, W).

    Each value is gathered from the pixel of its maximum, and the gradient goes back there. The footprint, of odd height
    and width, is mirrored: a white pixel becomes the footprint.
    """
    return _gather("dilation", images, footprint)


def erode(images: Tensor, footprint: Tensor) -> Tensor:
    """The adjoint of `dilate`: the minimum over the footprint, which is not mirrored."""
    return _gather("erosion", images, footprint)


def _gather(name: str, images: Tensor, footprint: Tensor) -> Tensor:
    if images.device.type == "mps":  # Apple's GPUs have no numbers of 64 bits
        operated: Tensor = OPERATORS[name](images, footprint.to(images))
        return operated
    is_dilation = name == "dilation"
    text = rows_of(footprint.flip(0, 1) if is_dilation else footprint)
    places = places_of_extrema(images.detach(), text, is_dilation)
    return images.flatten(-2).gather(-1, places.flatten(-2)).view_as(images)


WITH_GRADIENT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "dilation": dilate,
    "erosion": erode,
    "opening": lambda images, footprint: dilate(erode(images, footprint), footprint),
    "closing": lambda images, footprint: erode(dilate(images, footprint), footprint),
}


@dataclass(frozen=True)
class Operator:
    """A flat morphological operator: images (B, C, H, W) -> images, each image and channel by itself.

    Pixels outside the image do not count: a dilation takes the maximum over the part of the footprint that lies inside.
    The dilation mirrors the footprint and the erosion does not, as in Kornia and SciPy.

    Args:
        name: dilation, erosion, opening, closing, gradient, top_hat or bottom_hat.
        element: the radius of a disk in pixels, at least 0 (which changes nothing), or another structuring element as a
            command line writes it: ``square:1``, ``diamond:3``, ``line:5@45`` or ``file:ring.txt``.

    Raises:
        InputError: if there is no such operator, or no such structuring element.

    >>> Operator("dilation", 1)(torch.eye(3)[None, None])[0, 0]
    tensor([[1., 1., 0.],
            [1., 1., 1.],
            [0., 1., 1.]])
    """

    name: str
    element: int | str

    def __post_init__(self) -> None:
        if self.name not in OPERATORS:
            raise InputError(f"operators must be among {', '.join(OPERATORS)}; got {self.name!r}")
        object.__setattr__(self, "element", canonical(self.element))

    @property
    def is_increasing(self) -> bool:
        """Whether it keeps the order of images: then it commutes with every increasing function, as clipping is."""
        return self.name in WITH_GRADIENT

    @property
    def terms(self) -> tuple[Operator, ...]:
        """Itself alone if it is increasing; else the two increasing operators whose difference it is.

        A gradient is the dilation less the erosion, a top-hat the image less its opening, a bottom-hat the closing less
        the image.
        """
        if self.is_increasing:
            return (self,)
        image = Operator("dilation", 0)
        return {
            "gradient": (Operator("dilation", self.element), Operator("erosion", self.element)),
            "top_hat": (image, Operator("opening", self.element)),
            "bottom_hat": (Operator("closing", self.element), image),
        }[self.name]

    @property
    def text(self) -> str:
        """What `operator` makes this operator of, without any file."""
        return f"{self.name}:{self.element}"

    def __call__(self, images: Array) -> Array:
        """Images (B, C, H, W), a tensor or a numpy array of floats -> images of the same shape and kind.

        Raises:
            InputError: if they are whole numbers, or of another shape.
        """
        check_floats(str(self), images)
        shape = tuple(images.shape)
        if len(shape) != 4:
            raise InputError(f"{self} needs images of shape (B, C, H, W); got {shape}")
        if shape[3] in (1, 3) and shape[1] > MOST_CHANNELS:
            raise InputError(
                f"{self} needs images of shape (B, C, H, W); got {shape}: put their axes in the order (0, 3, 1, 2)"
            )
        if isinstance(images, np.ndarray):
            with torch.no_grad():
                return self._operate(torch.from_numpy(np.require(images, requirements=("C", "W")))).numpy()
        return self._operate(images)

    def _operate(self, images: Tensor) -> Tensor:
        if torch.is_grad_enabled():  # not `requires_grad`, which is False for stacked atoms within vmap
            return reduce(sub, (WITH_GRADIENT[each.name](images, each._footprint(images)) for each in self.terms))
        result: Tensor = OPERATORS[self.name](images, self._footprint(images).to(images))
        return result

    def _footprint(self, images: Tensor) -> Tensor:
        return build(str(self.element), most=images.shape[-2] + images.shape[-1])  # a disk that covers any image

    def __str__(self) -> str:
        return f"{self.name}:{short(str(self.element))}"


dilation = partial(Operator, "dilation")


def operate(images: Tensor, operators: Sequence[Operator]) -> Tensor:
    """Apply each of O operators to images (B, C, H, W): (B, O, C, H, W).

    Only `AT_ONCE` images are operated on at a time, which keeps the memory in between small.
    """
    return torch.cat([torch.stack([each(some) for each in operators], dim=1) for some in images.split(AT_ONCE)])


def read_operator(given: str | Operator) -> Operator:
    """The operator that a command line calls ``name:radius``, or ``name:`` and another element; an operator as it is.

    Raises:
        InputError: if there is no such operator, or no such structuring element.

    >>> read_operator("opening:2"), read_operator("top_hat:line:5@45")
    (Operator(name='opening', element='2'), Operator(name='top_hat', element='line:5@45'))
    """
    if isinstance(given, Operator):
        return given
    if not isinstance(given, str):
        raise InputError(f'an operator is given as partae.dilation(1), or as a text, "dilation:1"; got {given!r}')
    name, _, element = given.partition(":")
    return Operator(name, element)


def read_operators(given: Iterable[str | Operator]) -> tuple[Operator, ...]:
    """Several operators, each by `read_operator`; one alone instead of several is refused, too."""
    if isinstance(given, str | Operator):
        raise InputError(f'operators are given as a list, for example ["dilation:1"]; got {given!r}')
    return tuple(read_operator(each) for each in given)
