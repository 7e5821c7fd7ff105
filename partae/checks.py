"""Checks of what a user gives.

Each check returns the value that it is given, as one of Python's own types. Where the value is no such thing, it raises
`InputError`: its message names the config key ``key`` and the value, and says what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-3  # by which a value may lie outside of [0, 1] and be taken for one within


class InputError(ValueError):
    """Something that a user gave and can mend: shown as one message, without a traceback."""


def whole(key: str, value: int, minimum: int = 1, maximum: int | None = None) -> int:
    """A whole number of at least ``minimum``, and at most ``maximum`` where there is one; NumPy's are taken too.

    >>> whole("latent_dim", 100)
    100
    """
    number = isinstance(value, Integral) and not isinstance(value, bool)
    if not number or value < minimum or (maximum is not None and value > maximum):
        most = "" if maximum is None else f" and at most {maximum}"
        raise InputError(f"{key} must be a whole number, at least {minimum}{most}; got {value!r}")
    return int(value)


def random_seed(key: str, value: int) -> int:
    """A seed that every generator takes: a whole number from 0 to 2^32 - 1.

    >>> random_seed("data.seed", 0)
    0
    """
    return whole(key, value, minimum=0, maximum=2**32 - 1)


def wholes(key: str, values: Sequence[int] | NDArray[Any]) -> tuple[int, ...]:
    """A list, or an array (N,), of whole numbers of at least 1; returned as a tuple.

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
    """A finite number from ``low`` to ``high``, without an end that is open.

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
    """True or false; a word like "no" is neither.

    >>> flag("encoder.tied", True)
    True
    """
    if not isinstance(value, bool):
        raise InputError(f"{key} must be true or false; got {value!r}")
    return value


def one_of(key: str, value: str, known: tuple[str, ...]) -> str:
    """One of the names ``known``, which the message lists.

    >>> one_of("encoder.activation", "relu", ("relu", "tanh"))
    'relu'
    """
    if value not in known:
        raise InputError(f"{key} must be one of {', '.join(known)}; got {value!r}{suggest(value, known)}")
    return value


def check_floats(
    verb: str, given: Any, what: str = "images", advice: str = ": divide images in [0, 255] by 255"
) -> None:
    """Raise unless an array or tensor is of floats; whole numbers are most likely images in [0, 255].

    >>> check_floats("encode", np.zeros(2))
    """
    kind = str(getattr(given, "dtype", ""))
    if not kind:
        raise InputError(f"{verb} needs an array or a tensor; got {type(given).__name__}")
    if isinstance(given, np.ndarray) and given.dtype.kind == "f" and not given.dtype.isnative:
        raise InputError(
            f"{verb} needs {what} in this machine's byte order; got {kind}: give .astype('{given.dtype.name}')"
        )
    if "float" not in kind:
        raise InputError(f"{verb} needs {what} of floats; got {kind}{'' if 'bool' in kind else advice}")


def suggest(word: object, known: Iterable[str]) -> str:
    """The end of a message about a mistyped ``word``: the nearest word that is ``known``, if one is near.

    >>> suggest("relo", ["relu", "tanh"])
    '. Did you mean relu?'
    """
    nearest = get_close_matches(str(word), list(known), n=1)
    return f". Did you mean {nearest[0]}?" if nearest else ""
