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
from torch.autograd import Function
from torch.nn import functional as F

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


class Dilation(Function):
    """Kornia's dilation by the disk, with a gradient at a fraction of its cost: it goes to the pixel of each maximum.

    A disk is a stack of rows: the maxima along a row, which grow by one pixel to each side at a time, are shared by all
    rows of that width and moved up and down. So it takes about 4 ``radius`` maxima of whole batches, where one for each
    pixel of the disk would be about three times its square. Images in a frame of ``radius`` pixels lie in memory as one
    line, on which a move is a step; how far each maximum has come is summed up beside it.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(images: Tensor, radius: int) -> tuple[Tensor, Tensor]:
        """The dilation, and how many steps each of its values came along the line: both (B, C, H, W)."""
        framed = F.pad(images, (radius, radius, radius, radius), value=torch.finfo(images.dtype).min)
        line, down = framed.reshape(-1), framed.shape[-1]
        within = [(line, torch.zeros_like(line))]  # maxima within 0, 1, ... pixels along the row
        for reach in range(1, radius + 1):
            values, steps = within[-1]
            best = _larger(values[1:-1], steps[1:-1], line[: -2 * reach], -reach)
            within.append(_larger(*best, line[2 * reach :], reach))
        margin = radius * down + radius
        count = len(line) - 2 * margin
        best = line[:0], line[:0]
        for row in sorted(range(-radius, radius + 1), key=abs):  # among equal pixels, the nearest row's
            values, steps = within[width := math.isqrt(radius**2 - row**2)]
            start = margin + row * down - width
            values, steps = values[start : start + count], steps[start : start + count] + row * down
            best = _larger(*best, values, steps) if row else (values, steps)
        values, steps = (_inside(F.pad(each, (margin, margin)).view(framed.shape), radius) for each in best)
        return values.contiguous(), steps

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: tuple[Tensor, Tensor]) -> None:
        ctx.radius = inputs[1]
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient, (steps,), frame = gradients[0], ctx.saved_tensors, 2 * ctx.radius
        shape = (*gradient.shape[:-2], gradient.shape[-2] + frame, gradient.shape[-1] + frame)
        line = gradient.new_zeros(math.prod(shape))
        here = _inside(torch.arange(len(line), device=line.device).view(shape), ctx.radius)
        line = line.scatter_add(0, (here + steps.long()).reshape(-1), gradient.reshape(-1))
        return _inside(line.view(shape), ctx.radius), None


def _inside(framed: Tensor, radius: int) -> Tensor:
    """Images without their frame."""
    height, width = framed.shape[-2] - 2 * radius, framed.shape[-1] - 2 * radius
    return framed[..., radius : radius + height, radius : radius + width]


def _larger(values: Tensor, steps: Tensor, others: Tensor, their_steps: Tensor | int) -> tuple[Tensor, Tensor]:
    """The larger of two values each, and its steps; of equal ones the first."""
    largest = torch.maximum(values, others)
    moved = (largest - values).sign_()  # 1 where the other is larger, else 0
    ends = their_steps if isinstance(their_steps, Tensor) else steps.new_full((), their_steps)
    return largest, steps.lerp(ends, moved)  # `torch.where` takes five times as long


def dilate(images: Tensor, radius: int) -> Tensor:
    """`Dilation` of images (B, C, H, W) -> (B, C, H, W)."""
    dilated: Tensor = Dilation.apply(images, radius)[0]
    return dilated


def erode(images: Tensor, radius: int) -> Tensor:
    """The dual of `dilate`."""
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
