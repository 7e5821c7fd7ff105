"""Figures from arrays, in one style; knows nothing of models."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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

STYLE = Path(__file__).with_name("paper.mplstyle")
ACCENT = "#c1272d"


def _styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw in the one style, whatever the caller's own is."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.style.context(STYLE):
            return draw(*args, **kwargs)

    return drawn


@_styled
def image_rows(rows: Mapping[str, Array], columns: Sequence[str], title: str = "") -> Figure:
    """A grid of images: a labelled row for each entry of ``rows``, a named column for each image.

    Args:
        rows: label -> images (N, C, H, W) with values in [0, 1]; values outside are shown as the nearest end.
        columns: N names.
        title: above all.
    """
    tiles = [[_coloured(image, 0, 1) for image in images] for images in rows.values()]
    figure, (x, y) = _mosaic(tiles, inches=0.75, title=title)
    axes = figure.axes[0]
    axes.set_xticks(x, columns, fontsize=7)
    axes.set_yticks(y, list(rows))
    return figure


@_styled
def atoms(atoms: Array, title: str = "") -> Figure:
    """A grid of numbered atoms, each on its own scale from 0 to its largest value.

    Where an atom has a negative value all are shown on scales that are symmetric about 0 (blue below, red above).

    Args:
        atoms: (K, C, H, W).
        title: above all.
    """
    columns = min(len(atoms), max(10, math.ceil(math.sqrt(len(atoms)))))
    signed = bool((atoms < 0).any())
    tiles = []
    for atom in atoms:
        largest = float(np.abs(atom).max()) or 1.0
        tiles.append(_coloured(atom, -largest if signed else 0, largest, "RdBu_r" if signed else "gray"))
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    figure, (x, y) = _mosaic(rows, inches=0.65, title=title)
    axes = figure.axes[0]
    axes.set_xticks(x, [f"+{column}" for column in range(columns)], fontsize=7)
    axes.set_yticks(y, [str(row * columns) for row in range(len(rows))], fontsize=7)
    return figure


@_styled
def code_histograms(codes: Mapping[str, Array], columns: Sequence[str], title: str = "") -> Figure:
    """The histogram of the entries of each code, its largest entry marked: a row for each entry of ``codes``.

    Args:
        codes: label -> code (N, K).
        columns: N names.
        title: above all.
    """
    figure = Figure(figsize=(1.0 * len(columns) + 1.2, 1.15 * len(codes) + 0.75))
    grid = figure.subplots(len(codes), len(columns), squeeze=False, sharey=True, sharex="row")
    for row, (label, code) in zip(grid, codes.items(), strict=True):
        low, high = min(0.0, float(code.min())), float(code.max()) or 1.0
        bins = np.linspace(low, high, 21)
        for axes, entries in zip(row, code, strict=True):
            axes.hist(entries, bins=bins, color="0.35")
            axes.axvline(float(entries.max()), color=ACCENT, linewidth=0.9)
            axes.text(
                0.97, 0.95, f"max {entries.max():.2f}", transform=axes.transAxes, ha="right", va="top", fontsize=6,
                color=ACCENT,
            )  # fmt: skip
            axes.set_yscale("symlog", linthresh=1)
            axes.set_ylim(0, code.shape[1] * 2)
            axes.tick_params(labelsize=6)
        row[0].set_ylabel(f"{label}\nnumber of entries")
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name, fontsize=7)
    figure.suptitle(title, fontsize=9)
    figure.supxlabel("value of the entry", fontsize=8)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` as a PNG and a PDF at ``path``, which has no suffix; each whole or not at all."""
    with matplotlib.style.context(STYLE):
        for suffix in (".png", ".pdf"):
            with replacing(path.with_name(path.name + suffix)) as beside:
                figure.savefig(beside)


def _coloured(image: Array, low: float, high: float, cmap: str = "gray") -> Array:
    """An image (C, H, W) as (H, W, 3) in [0, 1]: by ``cmap`` for a single channel, in colour for three."""
    scaled = np.clip((image - low) / (high - low), 0, 1)
    return matplotlib.colormaps[cmap](scaled[0])[..., :3] if len(image) == 1 else np.moveaxis(scaled, 0, -1)


def _mosaic(rows: Sequence[Sequence[Array]], inches: float, title: str) -> tuple[Figure, tuple[Array, Array]]:
    """Tiles (H, W, 3) side by side, ``inches`` wide each; with the positions of the columns' and rows' centres."""
    height, width, _ = rows[0][0].shape
    gap = max(1, width // 14)
    columns = len(rows[0])
    canvas = np.ones((len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3))
    for row, tiles in enumerate(rows):
        for column, tile in enumerate(tiles):
            top, left = row * (height + gap), column * (width + gap)
            canvas[top : top + height, left : left + width] = tile
    figure = Figure(figsize=(inches * columns + 1.3, inches * len(rows) * height / width + 0.6))
    axes = figure.subplots()
    axes.imshow(canvas)
    axes.set_title(title)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    x = np.arange(columns) * (width + gap) + width / 2
    y = np.arange(len(rows)) * (height + gap) + height / 2
    return figure, (x, y)
