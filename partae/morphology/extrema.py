"""Where in an image the extrema of disks lie: by extrema of tensors, or by extrema.c where a compiler was found."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import torch
from numpy.ctypeslib import load_library
from torch import Tensor

CENTRE = 2**28  # the bit before a place that tells a disk's centre, so that it comes first of equals
NORMAL = 2**52  # with it, black pixels are no subnormal numbers, which a processor may be told to take for 0
LARGE = 2.0**1000  # in place of infinity, which has no bits free


def places_of_extrema(images: Tensor, radius: int, largest: bool) -> Tensor:
    """Where in its image, as y W + x, the largest or smallest pixel of the disk around each lies.

    Of equal pixels it is the disk's centre, where that is one of them and they are not negative. On a processor, and in
    at most single precision, it is the compiled function, where there is one; else `places_by_moved_rows`. They agree
    on every place. It is an operator of PyTorch's, ``partae::places_of_extrema``, which `torch.compile`, by which it
    would be slower, leaves alone.

    Args:
        images: (..., H, W), of at most 2^28 pixels each.
        radius: of the disk; below 0 it counts as 0.
        largest: whether the largest is meant, or the smallest.

    Returns:
        (..., H, W) of int64.
    """
    places: Tensor = torch.ops.partae.places_of_extrema(images, radius, largest)
    return places


def places_by_moved_rows(images: Tensor, radius: int, largest: bool) -> Tensor:
    """`places_of_extrema`, as extrema of tensors.

    In double precision, a pixel of single precision leaves 29 bits free. They hold its place, so that pixel and place
    are compared as one number; pixels in double precision are numbered in their order first. A disk is a stack of rows:
    the extrema along a row, which grow by one pixel to each side at a time, are shared by all rows of that width and
    moved up and down. So it takes about 4 ``radius`` extrema of whole batches, where one for each pixel of the disk
    would be about three times its square.
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


def compiled() -> Callable[..., int] | None:
    """The function of extrema.c, if there was a C compiler when partae was installed."""
    try:
        function = load_library("_extrema", __file__).places_of_extrema
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_void_p, *4 * [ctypes.c_int64], ctypes.c_int, ctypes.c_void_p)
    return function


COMPILED = compiled()


def _places_of_extrema(images: Tensor, radius: int, largest: bool) -> Tensor:
    images = images.contiguous()
    *count, height, width = images.shape
    radius = max(0, min(radius, height + width))  # more covers the image as well
    if COMPILED is None or images.device.type != "cpu" or torch.finfo(images.dtype).bits > 32:
        return places_by_moved_rows(images, radius, largest)
    images, places = images.float(), images.new_empty(images.shape, dtype=torch.int64)
    if not COMPILED(images.data_ptr(), math.prod(count), height, width, radius, largest, places.data_ptr()):
        raise MemoryError(f"no memory for the disks of radius {radius} of an image of {height} x {width} pixels")
    return places


def _mapped(_: Any, in_dims: tuple[int, None, None], images: Tensor, *how: Any) -> tuple[Tensor, int]:
    return torch.ops.partae.places_of_extrema(images.movedim(in_dims[0], 0), *how), 0


# `torch.library.custom_op` wraps a call in more checks: a fifth of this operator's time on a hundred atoms
NAME = "partae::places_of_extrema"
torch.library.define(NAME, "(Tensor images, int radius, bool largest) -> Tensor")
torch.library.impl(NAME, "default", _places_of_extrema)
torch.library.register_fake(NAME, lambda images, *_: images.new_empty(images.shape, dtype=torch.int64))
torch.library.register_vmap(NAME, _mapped)
