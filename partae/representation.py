"""The verbs that every model answers to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import sub
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from partae.checks import ROUNDING, InputError, check_floats
from partae.morphology import Array, Operator, read_operator


class Representation(nn.Module):
    """A part-based representation: a map from images to codes, and atoms that a code combines to images again.

    A model defines ``atoms``, ``bias``, ``_encode`` and ``_decode``, on tensors; the verbs follow from these. They take
    a numpy array or a tensor and return the same kind, in the precision of the atoms. An array is moved to the device
    of the atoms, and gets no gradient.

    Attributes:
        gains: those fitted by `partae.calibrate`, by operator, as in ``{"dilation:1": 0.9}``; "+bias" is behind the
            name of one that was fitted with the operator applied to the bias.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gains: dict[str, float] = {}

    @property
    def atoms(self) -> Tensor:
        """The dictionary, (K, C, H, W)."""
        raise NotImplementedError

    @property
    def bias(self) -> Tensor:
        """The bias that is added to the weighted atoms, (C, H, W)."""
        raise NotImplementedError

    @property
    def bias_is_atom(self) -> bool:
        """Whether the bias is one more atom, so that an operator on the atoms is always applied to it, too."""
        return False

    def _encode(self, images: Tensor) -> Tensor:
        """Code (B, K) of images (B, C, H, W)."""
        raise NotImplementedError

    def _decode(self, code: Tensor, atoms: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """Images (B, C, H, W) of a code (B, K)."""
        raise NotImplementedError

    def encode(self, images: Array) -> Array:
        """Code (B, K) of images (B, C, H, W) with values in [0, 1].

        Raises:
            InputError: if they are whole numbers, not in [0, 1] or of another shape than the atoms.
        """
        return self._of_images("encode", images, self._encode)

    def decode(
        self, code: Array, atoms: NDArray[Any] | Tensor | None = None, bias: NDArray[Any] | Tensor | None = None
    ) -> Array:
        """Images (B, C, H, W) of a code (B, K), by other ``atoms`` (K, C, H, W) or ``bias`` (C, H, W) where given.

        Raises:
            InputError: if the code is of whole numbers, or of another shape.
        """
        check_floats("decode", code, "a code", "")

        def checked(code: Tensor) -> Tensor:
            others = [
                as_tensor(each).to(self.atoms) if isinstance(each, np.ndarray) else each for each in (atoms, bias)
            ]
            units = len(self.atoms if atoms is None else atoms)
            if code.ndim != 2 or code.shape[1] != units:
                raise InputError(f"decode needs a code of shape (B, {units}); got {tuple(code.shape)}")
            return self._decode(code, *others)

        return self._computed(code, checked)

    def _of_images(self, verb: str, images: Array, compute: Callable[[Tensor], Tensor]) -> Array:
        """``compute`` of images (B, C, H, W) once they are checked, as the same kind; ``verb`` is for the message."""
        check_floats(verb, images)

        def checked(images: Tensor) -> Tensor:
            check_images(verb, images, self.atoms.shape[1:])
            return compute(images)

        return self._computed(images, checked)

    def _computed(self, given: Array, compute: Callable[[Tensor], Tensor]) -> Array:
        """``compute`` of an array or tensor of floats, as the same kind."""
        if isinstance(given, Tensor):
            return compute(given.to(self.atoms.dtype))
        with torch.no_grad():
            return compute(as_tensor(given).to(self.atoms)).cpu().numpy()

    def reconstruct(self, images: Array) -> Array:
        """The model's own rendering (B, C, H, W) of images (B, C, H, W)."""
        return self.decode(self.encode(images))

    def render(self, code: Array, operator: Operator | str, *, bias: bool = False) -> Array:
        """The raw max-approximation of a code (B, K), as published: it is decoded by the operated atoms, (B, C, H, W).

        That of a gradient or a top-hat is the difference of the renderings of its two `terms`, since the bias and the
        activation of a decoder do not commute with it. With ``bias`` the operator is applied to the bias too.
        """
        bias, terms = bias or self.bias_is_atom, read_operator(operator).terms
        renderings = [self.decode(code, each(self.atoms), each(self.bias[None])[0] if bias else None) for each in terms]
        rendering: Array = reduce(sub, renderings)
        return rendering

    def gain(self, operator: Operator | str, *, bias: bool = False) -> float:
        """The factor by which renderings of ``operator`` are multiplied, at least 0.

        With ``bias`` it is the one that was fitted so, else the one that was fitted without, else `first_gain`.
        """
        operator = read_operator(operator)
        for name in (gain_name(operator, bias=bias), gain_name(operator)):
            if name in self.gains:
                return self.gains[name]
        return self.first_gain(operator)  # a learned one is read from its device, for which a GPU is waited for

    def first_gain(self, operator: Operator) -> float:
        """The gain for an operator for which none was fitted: 1."""
        return 1.0

    def max_approximation(self, images: Array, operator: Operator | str, *, bias: bool = False) -> Array:
        """An approximation of ``operator(images)`` by operating on the K atoms only: (B, C, H, W), in [0, 1].

        It is the rendering times the `gain` for the operator, clipped to [0, 1]. The raw one, as published, is
        ``model.render(model.encode(images), operator)``. With ``bias`` the operator is applied to the bias too. An
        operator is a `partae.Operator`, or a text as on a command line, "dilation:1".
        """
        return self.max_approximation_of_code(self.encode(images), operator, bias=bias)

    def max_approximation_of_code(self, code: Array, operator: Operator | str, *, bias: bool = False) -> Array:
        """The max-approximation (B, C, H, W), in [0, 1], of the images that have the code (B, K)."""
        operator = read_operator(operator)
        rendering: Array = self.gain(operator, bias=bias) * self.render(code, operator, bias=bias)
        return rendering.clip(0, 1)


def as_tensor(given: Array) -> Tensor:
    """An array, of any strides, as a tensor, without a copy where torch needs none; a tensor as it is."""
    return given if isinstance(given, Tensor) else torch.from_numpy(np.require(given, requirements=("C", "W")))


def gain_name(operator: Operator, *, bias: bool = False) -> str:
    """The key of a gain in `Representation.gains`."""
    return f"{operator}+bias" if bias else str(operator)


def check_images(verb: str, images: Tensor, shape: Sequence[int]) -> None:
    """Raise unless images are (B, C, H, W) of the ``shape`` (C, H, W), with values in [0, 1].

    It waits for a GPU, so that no step of a training calls it.

    Raises:
        InputError: if not; the message names the ``verb`` and says what to do.
    """
    if images.ndim != 4 or images.shape[1:] != shape:
        raise InputError(
            f"{verb} needs images of shape (B, {', '.join(map(str, shape))}); got {tuple(images.shape)}: "
            f"{_way_to(tuple(shape), tuple(images.shape))}"
        )
    low, high = images.aminmax() if images.numel() else (0, 1)
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # a value that is not a number fails both
        advice = ": divide images in [0, 255] by 255" if low >= 0 else ": undo what made them negative"
        advice = advice if low <= high else ", which is not a number"
        raise InputError(f"{verb} needs images in [0, 1]; got values from {low:g} to {high:g}{advice}")


def _way_to(shape: tuple[int, ...], found: tuple[int, ...]) -> str:
    """What a user may do with images of the shape ``found`` where (B, *``shape``) is needed."""
    channels, height, width = shape
    if found[1:] == (height, width, channels):
        return "put their axes in the order (0, 3, 1, 2)"
    if found == shape:
        return "add an axis in front, images[None]"
    if (channels, *found) == (1, height, width):
        return "add two axes in front, images[None, None]"
    if len(found) == 2 and found[1] == channels * height * width:
        return f"reshape them, images.reshape(-1, {channels}, {height}, {width})"
    if (channels, *found[1:]) == (1, height, width):
        return "add the axis of the channel, images[:, None]"
    return f"convert them to {height} x {width} pixels with {channels} channel{'s' if channels > 1 else ''}"
