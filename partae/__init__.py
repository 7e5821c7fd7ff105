"""Part-based representations of images: sparse, non-negative auto-encoders and their max-approximations."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from partae.estimator import PartAutoEncoder
    from partae.metrics import Granulometry, calibrate, granulometry
    from partae.model import AutoEncoder, Factorization
    from partae.morphology import Operator, dilation
    from partae.saving import load

__all__ = [
    "AutoEncoder",
    "Factorization",
    "Granulometry",
    "Operator",
    "PartAutoEncoder",
    "calibrate",
    "dilation",
    "granulometry",
    "load",
]

HOMES = {
    "AutoEncoder": "partae.model",
    "Factorization": "partae.model",
    "Granulometry": "partae.metrics",
    "Operator": "partae.morphology",
    "PartAutoEncoder": "partae.estimator",
    "calibrate": "partae.metrics",
    "dilation": "partae.morphology",
    "granulometry": "partae.metrics",
    "load": "partae.saving",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: ``python train.py --help`` needs none of them, and so no torch."""
    if name == "__version__":
        try:
            return importlib.metadata.version("partae")
        except importlib.metadata.PackageNotFoundError:  # a checkout on the path that was not installed
            return "unknown"
    if name in HOMES:
        return getattr(importlib.import_module(HOMES[name]), name)
    if not name.startswith("_") and importlib.util.find_spec(f"partae.{name}"):
        return importlib.import_module(f"partae.{name}")
    raise AttributeError(f"module 'partae' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What Tab completes after ``partae.``: the names above, and the modules."""
    return sorted({*__all__, "__version__", *(module.name for module in pkgutil.iter_modules(__path__))})
