"""The verbs that every model answers to."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from partae.checks import InputError
from partae.morphology import Array, Operator

Model = TypeVar("Model", bound="Representation")
P = ParamSpec("P")


def numpy_too(
    verb: Callable[Concatenate[Model, Tensor, P], Tensor],
) -> Callable[Concatenate[Model, Array, P], Array]:
    """Let a verb that maps tensors to tensors map numpy arrays to numpy arrays too, without gradients.

    An array is computed on where the atoms live and in their precision.

    Raises:
        InputError: by the verb, if an array or a tensor holds whole numbers, as images in [0, 255] do.
    """

    @wraps(verb)
    def either(model: Model, given: Any, *args: P.args, **kwargs: P.kwargs) -> Any:
        array = isinstance(given, np.ndarray)
        if not (np.issubdtype(given.dtype, np.floating) if array else given.is_floating_point()):
            kind = "an array" if array else "a tensor"
            raise InputError(f"{verb.__name__} needs {kind} of floats, images in [0, 1]; got one of {given.dtype}")
        if not array:
            return verb(model, given, *args, **kwargs)
        with torch.no_grad():
            tensor = torch.from_numpy(np.require(given, requirements=("C", "W")))
            return verb(model, tensor.to(model.atoms), *args, **kwargs).cpu().numpy()

    return cast("Callable[Concatenate[Model, Array, P], Array]", either)


class Representation(nn.Module):
    """A part-based representation: a map from images to codes, and atoms that a code puts together again.

    A model defines ``atoms``, ``bias``, ``encode`` and ``decode``; the other verbs follow from these. The verbs take a
    numpy array or a tensor and give back the same kind, where a model defines its two by way of `numpy_too`.

    Attributes:
        gains: what `partae.calibrate` has fitted, by operator, as in ``{"dilation:1": 0.9}``.
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
        """What is added to the weighted atoms, (C, H, W)."""
        raise NotImplementedError

    def encode(self, images: Array) -> Array:
        """Code (B, K) of images (B, C, H, W) with values in [0, 1]."""
        raise NotImplementedError

    def decode(self, code: Array, atoms: Tensor | None = None, bias: Tensor | None = None) -> Array:
        """Images (B, C, H, W) of a code (B, K), by other ``atoms`` (K, C, H, W) or ``bias`` (C, H, W) where given."""
        raise NotImplementedError

    def reconstruct(self, images: Array) -> Array:
        """The model's own rendering (B, C, H, W) of images (B, C, H, W)."""
        return self.decode(self.encode(images))

    def render(self, code: Array, operator: Operator, *, bias: bool = False) -> Array:
        """The raw max-approximation of a code (B, K), as published: it is decoded by the operated atoms, (B, C, H, W).

        With ``bias`` the operator is applied to the bias too.
        """
        return self.decode(code, operator(self.atoms), operator(self.bias[None])[0] if bias else None)

    def gain(self, operator: Operator) -> float:
        """The factor of the renderings of ``operator`` that the model knows: at least 0, and 1 if it knows none."""
        return self.gains.get(str(operator), 1.0)

    def max_approximation(self, images: Array, operator: Operator, *, bias: bool = False) -> Array:
        """What ``operator`` would make of ``images``, by operating on the K atoms only: (B, C, H, W), in [0, 1].

        This is the best rendering that the model knows: times its `gain` for the operator, then clipped to [0, 1]. The
        raw one, as published, is ``model.render(model.encode(images), operator)``; take that for images that are not
        in [0, 1]. With ``bias`` the operator is applied to the bias too.
        """
        return self.max_approximation_of_code(self.encode(images), operator, bias=bias)

    def max_approximation_of_code(self, code: Array, operator: Operator, *, bias: bool = False) -> Array:
        """The max-approximation (B, C, H, W), in [0, 1], of the images that have the code (B, K)."""
        rendering: Array = self.gain(operator) * self.render(code, operator, bias=bias)
        return rendering.clip(0, 1)
