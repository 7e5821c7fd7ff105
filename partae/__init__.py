"""Part-based representations of images: sparse, non-negative auto-encoders and their max-approximations."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partae.estimator import PartAutoEncoder
    from partae.metrics import calibrate
    from partae.model import AutoEncoder, Factorization
    from partae.morphology import Operator, dilation
    from partae.saving import load

__all__ = ["AutoEncoder", "Factorization", "Operator", "PartAutoEncoder", "calibrate", "dilation", "load"]

HOMES = {
    "AutoEncoder": "partae.model",
    "Factorization": "partae.model",
    "Operator": "partae.morphology",
    "PartAutoEncoder": "partae.estimator",
    "calibrate": "partae.metrics",
    "dilation": "partae.morphology",
    "load": "partae.saving",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: ``python train.py --help`` needs none of them, and so no torch."""
    if name not in HOMES:
        raise AttributeError(f"module 'partae' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
