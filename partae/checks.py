"""Checks of what a user gives. A message names the config key, the value, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-3  # by which a value may lie outside of [0, 1] and be taken for one within


class InputError(ValueError):
    """Something that a user gave and can mend: shown as one message, without a traceback."""


def whole(key: str, value: int, minimum: int = 1, maximum: int | None = None) -> int:
    """Return ``value`` as an int if it is whole, at least ``minimum``, and at most ``maximum``, where there is one.

    Whole numbers of NumPy are taken too: a checkpoint holds what is returned, but none of these.

    Raises:
        InputError: if it is not; the message names ``key``.

    >>> whole("latent_dim", 100)
    100
    """
    number = isinstance(value, Integral) and not isinstance(value, bool)
    if not number or value < minimum or (maximum is not None and value > maximum):
        most = "" if maximum is None else f" and at most {maximum}"
        raise InputError(f"{key} must be a whole number, at least {minimum}{most}; got {value!r}")
    return int(value)


def random_seed(key: str, value: int) -> int:
    """Return ``value`` as an int if it is a seed that every generator takes: whole, from 0 to 2^32 - 1.

    Raises:
        InputError: if it is not; the message names ``key``.

    >>> random_seed("data.seed", 0)
    0
    """
    return whole(key, value, minimum=0, maximum=2**32 - 1)


def wholes(key: str, values: Sequence[int] | NDArray[Any]) -> tuple[int, ...]:
    """Return ``values`` as a tuple of ints if they are a list, or an array (N,), of whole numbers of at least 1.

    Raises:
        InputError: if they are not; the message names ``key``.

    >>> wholes("encoder.hidden", [512, 256])
    (512, 256)
    """
    listed = values.ndim == 1 if isinstance(values, np.ndarray) else isinstance(values, Sequence)
    if isinstance(values, str) or not listed:
        raise InputError(f"{key} must be a list of whole numbers; got {values!r}")
    return tuple(whole(key, value) for value in values)


def real(
    key: str,
    value: float,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    low_open: bool = False,
    high_open: bool = False,
) -> float:
    """Return ``value`` as a float if it is a finite number from ``low`` to ``high``, an open end left out.

    Raises:
        InputError: if it is not; the message names ``key``.

    >>> real("sparsity.beta", 1, low=0)
    1.0
    """
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not (number and low <= value <= high) or (low_open and value == low) or (high_open and value == high):
        left = "(" if low_open or math.isinf(low) else "["
        right = ")" if high_open or math.isinf(high) else "]"
        raise InputError(f"{key} must be a number in {left}{low:g}, {high:g}{right}; got {value!r}")
    return float(value)


def flag(key: str, value: bool) -> bool:
    """Return ``value`` if it is a bool; a word like "no" is not.

    Raises:
        InputError: if it is not; the message names ``key``.

    >>> flag("encoder.tied", True)
    True
    """
    if not isinstance(value, bool):
        raise InputError(f"{key} must be true or false; got {value!r}")
    return value


def one_of(key: str, value: str, known: tuple[str, ...]) -> str:
    """Return ``value`` if it is one of ``known``.

    Raises:
        InputError: if it is not; the message names ``key`` and lists ``known``.

    >>> one_of("encoder.activation", "relu", ("relu", "tanh"))
    'relu'
    """
    if value not in known:
        raise InputError(f"{key} must be one of {', '.join(known)}; got {value!r}")
    return value
