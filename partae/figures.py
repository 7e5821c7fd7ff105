"""Figures from arrays, in one style; knows nothing of models."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
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
    figure = Figure(figsize=(0.75 * len(columns) + 1.3, 0.75 * len(rows) + 0.6))
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for row, (label, images) in zip(grid, rows.items(), strict=True):
        for axes, image in zip(row, images, strict=True):
            _show(axes, image, 0, 1)
        row[0].set_ylabel(label, rotation=0, ha="right", va="center")
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name, fontsize=7)
    figure.suptitle(title, fontsize=9)
    return figure


@_styled
def atoms(atoms: Array, title: str = "", numbered: bool = True) -> Figure:
    """A grid of atoms, each on its own scale from 0 to its largest value.

    Where an atom has a negative value all are shown on scales that are symmetric about 0 (blue below, red above).

    Args:
        atoms: (K, C, H, W).
        title: above all.
        numbered: whether each atom's number is written above it.
    """
    columns = min(len(atoms), max(10, math.ceil(math.sqrt(len(atoms)))))
    count = math.ceil(len(atoms) / columns)
    figure = Figure(figsize=(0.62 * columns, (0.74 if numbered else 0.62) * count + 0.4))
    grid = figure.subplots(count, columns, squeeze=False).ravel()
    signed = bool((atoms < 0).any())
    for number, (axes, atom) in enumerate(zip(grid, atoms, strict=False)):
        largest = float(np.abs(atom).max()) or 1.0
        _show(axes, atom, -largest if signed else 0, largest, cmap="RdBu_r" if signed else "gray")
        if numbered:
            axes.set_title(str(number), fontsize=5, pad=1.5)
    for axes in grid[len(atoms) :]:
        axes.set_axis_off()
    figure.suptitle(title, fontsize=9)
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
        row[0].set_ylabel(label)
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name, fontsize=7)
    figure.suptitle(title, fontsize=9)
    figure.supxlabel("entry of the code (number of entries above it)", fontsize=8)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` as a PNG and a PDF at ``path``, which has no suffix; each whole or not at all."""
    with matplotlib.style.context(STYLE):
        for suffix in (".png", ".pdf"):
            with replacing(path.with_name(path.name + suffix)) as beside:
                figure.savefig(beside)


def _show(axes: Axes, image: Array, low: float, high: float, cmap: str = "gray") -> None:
    """One image (C, H, W): grey or by ``cmap`` for a single channel, in colour for three."""
    if len(image) == 1:
        axes.imshow(image[0], vmin=low, vmax=high, cmap=cmap)
    else:
        axes.imshow(np.clip((np.moveaxis(image, 0, -1) - low) / (high - low), 0, 1))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_linewidth(0.3)
        spine.set_color("0.7")
