"""Activations by name, each with the interval that its values lie in."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from torch import nn

from partae.checks import one_of

Interval = tuple[float, float]

ANYTHING: Interval = (-math.inf, math.inf)

ACTIVATIONS: dict[str, tuple[Callable[[], nn.Module], Interval]] = {
    "sigmoid": (nn.Sigmoid, (0.0, 1.0)),
    "identity": (nn.Identity, ANYTHING),
    "relu": (nn.ReLU, (0.0, math.inf)),
    "leaky_relu": (partial(nn.LeakyReLU, 0.1), ANYTHING),
    "softplus": (nn.Softplus, (0.0, math.inf)),
    "tanh": (nn.Tanh, (-1.0, 1.0)),
}


def activation(key: str, name: str) -> tuple[nn.Module, Interval]:
    """The activation called ``name`` and the interval of its values; ``key`` is the config key that chose it.

    Raises:
        InputError: if there is no such activation.

    >>> activation("encoder.activation", "sigmoid")
    (Sigmoid(), (0.0, 1.0))
    """
    build, interval = ACTIVATIONS[one_of(key, name, tuple(ACTIVATIONS))]
    return build(), interval
