"""Figures from arrays, in one style; knows nothing of models."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from partae.files import replacing

Array = NDArray[np.floating]
P = ParamSpec("P")

logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every glyph that it puts into a PDF

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
    tiles = [[coloured(image, 0, 1) for image in images] for images in rows.values()]
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
    columns = min(len(atoms), max(10, _side(atoms)))
    rows = _in_rows(scaled_each(atoms), columns)
    figure, (x, y) = _mosaic(rows, inches=0.65, title=title)
    axes = figure.axes[0]
    axes.set_xticks(x, [f"+{column}" for column in range(columns)], fontsize=7)
    axes.set_yticks(y, [str(row * columns) for row in range(len(rows))], fontsize=7)
    return figure


@_styled
def atom_rows(rows: Mapping[str, Array], title: str = "") -> Figure:
    """Some atoms of several models, coloured as by `atoms`: a labelled row for each model.

    Args:
        rows: label -> atoms (N, C, H, W).
        title: above all.
    """
    figure, (_, y) = _mosaic([scaled_each(atoms) for atoms in rows.values()], inches=0.75, title=title)
    axes = figure.axes[0]
    axes.set_xticks([])
    axes.set_yticks(y, list(rows))
    return figure


@_styled
def atom_grids(grids: Mapping[str, Array], title: str = "") -> Figure:
    """All atoms of a few models side by side, coloured as by `atoms`: a square for each model.

    Args:
        grids: label -> atoms (K, C, H, W).
        title: above all.
    """
    sides = [_side(atoms) for atoms in grids.values()]
    figure = Figure(figsize=(0.5 * sum(sides) + 0.2, 0.5 * max(sides) + 0.7))
    squares = figure.subplots(1, len(grids), squeeze=False, width_ratios=sides)[0]
    for axes, side, (name, atoms) in zip(squares, sides, grids.items(), strict=True):
        _tiled(axes, _in_rows(scaled_each(atoms), side))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(name)
    figure.suptitle(title)
    return figure


@_styled
def overview(atoms: Array, strongest: Mapping[str, Array], rows: Mapping[str, Array], columns: Sequence[str]) -> Figure:
    """A representation at a glance: all its atoms, and beside them what it makes of some images.

    Args:
        atoms: (K, C, H, W).
        strongest: label -> an atom for each image, (N, C, H, W), coloured as by `atoms`.
        rows: label -> images (N, C, H, W) with values in [0, 1]; those of the first label come above the atoms.
        columns: N names.
    """
    side = _side(atoms)
    grid = _in_rows(scaled_each(atoms), side)
    images = {label: [coloured(image, 0, 1) for image in row] for label, row in rows.items()}
    (first, originals), *others = images.items()
    table = {first: originals, **{label: scaled_each(row) for label, row in strongest.items()}, **dict(others)}
    figure = Figure(figsize=(0.55 * (side + len(columns)) + 2.2, 0.55 * max(side, len(table)) + 0.6))
    left, right = figure.subplots(1, 2, width_ratios=(side, len(columns) * side / max(side, len(table))))
    _tiled(left, grid)
    left.set_xticks([])
    left.set_yticks([])
    left.set_title(f"{len(atoms)} atoms")
    x, y = _tiled(right, list(table.values()))
    right.set_xticks(x, columns, fontsize=7, rotation=35, ha="left", rotation_mode="anchor")
    right.set_yticks(y, list(table))
    return figure


@_styled
def coefficient_paths(paths: Mapping[str, tuple[Array, Array]], title: str = "") -> Figure:
    """What becomes of the coefficients of one image as a penalty grows: a panel for each penalty.

    Args:
        paths: name of the penalty -> its weights (N,), above 0 and rising, and the coefficients (N, K) at each of them.
        title: above all.
    """
    figure = Figure(figsize=(3.3 * len(paths), 2.7))
    panels = figure.subplots(1, len(paths), sharey=True, squeeze=False)[0]
    for axes, (name, (weights, coefficients)) in zip(panels, paths.items(), strict=True):
        axes.semilogx(weights, coefficients, linewidth=1)
        axes.set_title(name)
        axes.set_xlabel("weight of the penalty")
        left = (coefficients > 0).sum(axis=1)
        marks = np.linspace(0, len(weights) - 1, 4).round().astype(int)[1:-1]
        for at in marks:
            axes.axvline(weights[at], color="0.8", linewidth=0.7, zorder=0)
            axes.annotate(
                f"{left[at]} left",
                (weights[at], 1),
                (2, -2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                va="top",
                fontsize=8,
                color="0.4",
            )
    panels[0].set_ylabel("coefficient")
    figure.suptitle(title)
    return figure


@_styled
def penalties(curves: Mapping[str, tuple[Array, Array]], p: float, title: str = "") -> Figure:
    """Penalties of a single unit against its mean activation.

    Args:
        curves: name of the penalty -> mean activations (N,) and penalties (N,).
        p: the expected activation, marked on the axis.
        title: above all.
    """
    figure = Figure(figsize=(3.6, 2.7))
    axes = figure.subplots()
    for (name, (activation, penalty)), line in zip(curves.items(), ("-", "--", "-.", ":"), strict=False):
        axes.plot(activation, penalty, line, label=name)
    axes.axvline(p, color="0.6", linewidth=0.7)
    axes.annotate(f" p = {p:g}", (p, 1), xycoords=("data", "axes fraction"), va="top", fontsize=8, color="0.4")
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("mean activation of a unit")
    axes.set_ylabel("penalty")
    axes.legend()
    axes.set_title(title)
    return figure


@_styled
def sweep_panels(panels: Mapping[str, Mapping[str, tuple[Array, Array]]], x_label: str, series_label: str) -> Figure:
    """Measures of a sweep's models against one swept value: a panel for each measure, a curve for each other value.

    Args:
        panels: measure -> name of the curve -> swept values (N,) and measures (N,).
        x_label: the swept key; its axis is logarithmic where all values are positive.
        series_label: the key that tells the curves apart.
    """
    figure = Figure(figsize=(6.8, 0.4 + 2.3 * math.ceil(len(panels) / 2)))
    grid = figure.subplots(math.ceil(len(panels) / 2), 2, squeeze=False).ravel()
    for axes, letter, (measure, curves) in zip(grid, "abcdefgh", panels.items(), strict=False):
        for name, (x, y) in curves.items():
            axes.plot(x, y, "o-", label=name)
        if all((x > 0).all() for x, _ in curves.values()):
            axes.set_xscale("log")
        if measure.startswith("max_approximation_error"):  # it spans decades where atoms overlap
            axes.set_yscale("log")
        axes.set_title(f"({letter}) {measure.replace('_', ' ')}")
        axes.set_xlabel(x_label)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    grid[0].legend(title=series_label)
    return figure


@_styled
def front(
    runs: Array, on_front: Array, others: Mapping[str, Mapping[str, Array]], labels: Sequence[str], title: str = ""
) -> Figure:
    """Models by two errors, with the line that no model of the sweep is below and left of.

    Where there are other models, these and the sweep are on the left, on logarithmic axes, and the sweep from close by
    on the right.

    Args:
        runs: (N, 2), above 0.
        on_front: those of them on the front, (M, 2), in the order of the line.
        others: kind -> name -> point (2,), each with its name beside it.
        labels: of the two axes.
        title: above all.
    """
    others = {kind: points for kind, points in others.items() if points}
    figure = Figure(figsize=(7.6, 3.6) if others else (4.2, 3.6))
    *whole, close = figure.subplots(1, 2 if others else 1, squeeze=False)[0]
    for axes in (*whole, close):
        axes.plot(*runs.T, "o", color="0.7", label="runs")
        axes.step(*on_front.T, "o-", where="post", color=ACCENT, label="front")
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
    if others:
        (axes,) = whole
        axes.set_xscale("log")
        axes.set_yscale("log")
        for marker, (kind, points) in zip("sD^v", others.items(), strict=False):
            axes.plot(*np.array(list(points.values())).T, marker, color="0.25", markerfacecolor="none", label=kind)
        middle = math.sqrt(math.prod(axes.get_xlim()))
        for up, points in zip((-8, 4), others.values(), strict=False):  # names of one kind below, of another above
            for name, point in points.items():
                side, right = ("left", 5) if point[0] < middle else ("right", -5)
                place = {"xytext": (right, up), "textcoords": "offset points", "ha": side}
                axes.annotate(name, tuple(point), **place, fontsize=6, color="0.25")
        (left, bottom), (right, top) = ((close.get_xlim()[end], close.get_ylim()[end]) for end in (0, 1))
        axes.indicate_inset((left, bottom, right - left, top - bottom), edgecolor="0.5")
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(subs=(1.0,) if high > 100 * low else (1.0, 2.0, 3.0, 5.0)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
    close.locator_params(nbins=5)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    figure.suptitle(title)
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
                color=ACCENT, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
            axes.set_yscale("symlog", linthresh=1)
            axes.set_ylim(0, code.shape[1] * 2)
            axes.tick_params(labelsize=6)
        row[0].set_ylabel(label, rotation=0, ha="right", va="center")
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name, fontsize=7)
    figure.suptitle(title, fontsize=9)
    figure.supxlabel("value of an entry of the code", fontsize=8)
    figure.supylabel("number of entries", fontsize=8)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write ``figure`` as a PNG and a PDF at ``path``, which has no suffix; each whole or not at all."""
    with matplotlib.style.context(STYLE):
        for suffix in (".png", ".pdf"):
            with replacing(path.with_name(path.name + suffix)) as beside:
                figure.savefig(beside)


def coloured(image: Array, low: float, high: float, cmap: str = "gray") -> Array:
    """An image (C, H, W) as (H, W, 3) in [0, 1]: by ``cmap`` for a single channel, in colour for three."""
    scaled = np.clip((image - low) / (high - low), 0, 1)
    return matplotlib.colormaps[cmap](scaled[0])[..., :3] if len(image) == 1 else np.moveaxis(scaled, 0, -1)


def scaled_each(atoms: Array) -> list[Array]:
    """Atoms (K, C, H, W) as K tiles (H, W, 3), each on its own scale, signed where any atom has a negative value."""
    signed = bool((atoms < 0).any())
    largest = [float(np.abs(atom).max()) or 1.0 for atom in atoms]
    return [
        coloured(atom, -most if signed else 0, most, "RdBu_r" if signed else "gray")
        for atom, most in zip(atoms, largest, strict=True)
    ]


def _side(atoms: Array) -> int:
    """How many of ``atoms`` a row holds if there are to be about as many rows."""
    return math.ceil(math.sqrt(len(atoms)))


def _in_rows(tiles: list[Array], columns: int) -> list[list[Array]]:
    return [tiles[start : start + columns] for start in range(0, len(tiles), columns)]


def _mosaic(rows: Sequence[Sequence[Array]], inches: float, title: str) -> tuple[Figure, tuple[Array, Array]]:
    """Tiles (H, W, 3) side by side, ``inches`` wide each; with the positions of the columns' and rows' centres."""
    height, width, _ = rows[0][0].shape
    figure = Figure(figsize=(inches * len(rows[0]) + 1.3, inches * len(rows) * height / width + 0.6))
    axes = figure.subplots()
    axes.set_title(title)
    return figure, _tiled(axes, rows)


def _tiled(axes: Axes, rows: Sequence[Sequence[Array]]) -> tuple[Array, Array]:
    """Draw tiles (H, W, 3) side by side; the positions of the columns' and rows' centres."""
    height, width, _ = rows[0][0].shape
    gap = max(1, width // 14)
    columns = len(rows[0])
    canvas = np.ones((len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3))
    for row, tiles in enumerate(rows):
        for column, tile in enumerate(tiles):
            top, left = row * (height + gap), column * (width + gap)
            canvas[top : top + height, left : left + width] = tile
    axes.imshow(canvas)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    x = np.arange(columns) * (width + gap) + width / 2
    y = np.arange(len(rows)) * (height + gap) + height / 2
    return x, y
