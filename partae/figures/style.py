"""The one style of all figures, and how they are saved."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from functools import partial, wraps
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

logging.getLogger("fontTools").setLevel(logging.WARNING)  # it logs every glyph of a PDF

STYLE = Path(__file__).with_name("paper.mplstyle")
ACCENT = "#c1272d"
PADDING = 0.05  # inches around a figure


def png(figure: Figure) -> bytes:
    """What a notebook shows of a figure."""
    content = io.BytesIO()
    figure.savefig(content, format="png", bbox_inches="tight")
    return content.getvalue()


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the one style, whatever style the caller uses; a notebook shows the figure where a cell ends with it."""

    @wraps(draw)
    def draw_in_style(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.style.context(STYLE):
            figure = draw(*args, **kwargs)
        # no subclass: W&B takes for a figure only what has the name of one of matplotlib's classes
        figure._repr_png_ = partial(png, figure)  # type: ignore[attr-defined]
        return figure

    return draw_in_style


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG and PDF to ``path``, which has no suffix; an interrupted write leaves no file."""
    path = Path(path)
    with matplotlib.style.context(STYLE):
        figure.draw_without_rendering()  # lay out once for both files
        figure.set_layout_engine("none")
        box = figure.get_tightbbox().padded(PADDING)
        for suffix in (".png", ".pdf"):
            with replacing(path.with_name(path.name + suffix)) as beside:
                figure.savefig(beside, bbox_inches=box)
