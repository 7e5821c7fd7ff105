"""Modules that show their arguments when they are printed."""

from __future__ import annotations

import inspect

from torch import Tensor, nn


class Printed(nn.Module):
    """A module whose printed form shows its constructor's arguments, which it keeps as attributes of the same names.

    >>> from partae.sparsity import KL
    >>> KL(beta=0.01, p=0.1)
    KL(beta=0.01, p=0.1)
    """

    def extra_repr(self) -> str:
        values = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters if hasattr(self, name)}
        return ", ".join(f"{name}={_short(value)}" for name, value in values.items())


def _short(value: object) -> str:
    """The value as it was given, also where a buffer keeps it."""
    if isinstance(value, Tensor) and value.ndim == 0:
        value = float(f"{value.item():g}")  # without the digits that single precision adds
    return str(value)
