"""The one style of all figures, and how they are saved."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from partae.files import replacing

Array = NDArray[np.floating]
P = ParamSpec("P")

logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every glyph that it puts into a PDF

STYLE = Path(__file__).with_name("paper.mplstyle")
ACCENT = "#c1272d"


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the one style, whatever the caller's own is."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.style.context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` as a PNG and a PDF at ``path``, which has no suffix; each whole or not at all."""
    with matplotlib.style.context(STYLE):
        for suffix in (".png", ".pdf"):
            with replacing(path.with_name(path.name + suffix)) as beside:
                figure.savefig(beside)
