"""Figures of images and atoms, side by side as tiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from partae.figures.style import Array, styled

GAP = 0.8  # a grey between tiles on which both white and black tiles have edges
FAINT = 0.01  # of the largest value of all atoms
ROUNDED = 1e-6  # the same, below which a negative value is one of rounding: means of clusters have such
INCHES = 0.7  # width of a tile in a grid


@styled
def image_rows(rows: Mapping[str, Array], columns: Sequence[str], title: str = "") -> Figure:
    """A grid of images: a labelled row for each entry of ``rows``, a named column for each image.

    Args:
        rows: label -> images (N, C, H, W); values outside [0, 1] are clipped.
        columns: N names, or none.
        title: above all.
    """
    return _grid([_grey(images) for images in rows.values()], list(rows), columns, title)


@styled
def atoms(atoms: Array, title: str = "") -> Figure:
    """A grid of numbered atoms (K, C, H, W), coloured as by `scaled_each`."""
    columns = min(len(atoms), max(10, _side(atoms)))
    rows = _in_rows(scaled_each(atoms), columns)
    names = [str(row * columns) for row in range(len(rows))]
    return _grid(rows, names, [f"+{column}" for column in range(columns)], title)


@styled
def atom_rows(rows: Mapping[str, Array], title: str = "") -> Figure:
    """Some atoms of several models: a labelled row of atoms (N, C, H, W) for each model."""
    return _grid([scaled_each(atoms) for atoms in rows.values()], list(rows), [], title)


@styled
def atom_grids(grids: Mapping[str, Array], title: str = "") -> Figure:
    """All atoms of a few models side by side: a labelled square of atoms (K, C, H, W) for each model."""
    sides = [_side(atoms) for atoms in grids.values()]
    figure = Figure(figsize=(0.5 * sum(sides) + 0.2, 0.5 * max(sides) + 0.7))
    squares = figure.subplots(1, len(grids), squeeze=False, width_ratios=sides)[0]
    for axes, side, (name, atoms) in zip(squares, sides, grids.items(), strict=True):
        _draw(axes, _in_rows(scaled_each(atoms), side))
        axes.set_title(name)
    figure.suptitle(title)
    return figure


@styled
def overview(atoms: Array, strongest: Mapping[str, Array], rows: Mapping[str, Array], columns: Sequence[str]) -> Figure:
    """A representation at a glance: all its atoms and, beside them, how it represents some images.

    Args:
        atoms: (K, C, H, W).
        strongest: label -> an atom for each image, (N, C, H, W).
        rows: label -> images (N, C, H, W); those of the first label come above the atoms.
        columns: N names, or none.
    """
    side = _side(atoms)
    (first, originals), *others = ((label, _grey(images)) for label, images in rows.items())
    table = {first: originals, **{label: scaled_each(row) for label, row in strongest.items()}, **dict(others)}
    across, down = len(originals), max(side, len(table))
    figure = Figure(figsize=(0.55 * (side + across) + 2.2, 0.55 * down + 0.6))
    left, right = figure.subplots(1, 2, width_ratios=(side, across * side / down))
    _draw(left, _in_rows(scaled_each(atoms), side))
    left.set_title(f"{len(atoms)} atoms")
    _draw(right, list(table.values()), list(table), columns)
    for label in right.get_xticklabels():
        label.set(rotation=35, horizontalalignment="left", rotation_mode="anchor")
    return figure


def coloured(image: Array, low: float, high: float, cmap: str = "gray") -> Array:
    """An image (C, H, W) as (H, W, 3) in [0, 1]: by ``cmap`` for a single channel, in colour for three."""
    scaled = np.clip((image - low) / (high - low), 0, 1)
    return matplotlib.colormaps[cmap](scaled[0])[..., :3] if len(image) == 1 else np.moveaxis(scaled, 0, -1)


def scaled_each(atoms: Array) -> list[Array]:
    """Atoms (K, C, H, W) as K tiles (H, W, 3), each on its own scale from 0 to its largest value.

    An atom that is nearly 0 is dark: no scale ends below a hundredth of the largest value of all atoms. If any atom has
    a negative value, but for rounding, the scales are symmetric about 0: blue below, red above.
    """
    size = float(np.abs(atoms).max(initial=0))
    signed = bool((atoms < -ROUNDED * size).any())
    least = FAINT * size or 1.0
    largest = [max(float(np.abs(atom).max()), least) for atom in atoms]
    return [
        coloured(atom, -most if signed else 0, most, "RdBu_r" if signed else "gray")
        for atom, most in zip(atoms, largest, strict=True)
    ]


def _grey(images: Array) -> list[Array]:
    """Images (N, C, H, W) as N tiles (H, W, 3)."""
    return [coloured(image, 0, 1) for image in images]


def _side(atoms: Array) -> int:
    """The columns of a grid with about as many rows."""
    return math.ceil(math.sqrt(len(atoms)))


def _in_rows(tiles: list[Array], columns: int) -> list[list[Array]]:
    return [tiles[start : start + columns] for start in range(0, len(tiles), columns)]


def _grid(rows: Sequence[Sequence[Array]], row_names: Sequence[str], columns: Sequence[str], title: str) -> Figure:
    """A figure of tiles (H, W, 3)."""
    height, width, _ = rows[0][0].shape
    figure = Figure(figsize=(INCHES * len(rows[0]) + 1.3, INCHES * len(rows) * height / width + 0.6))
    axes = figure.subplots()
    axes.set_title(title)
    _draw(axes, rows, row_names, columns)
    return figure


def _draw(
    axes: Axes, rows: Sequence[Sequence[Array]], row_names: Sequence[str] = (), column_names: Sequence[str] = ()
) -> None:
    """Draw rows of tiles (H, W, 3), with names on the left and above."""
    height, width, _ = rows[0][0].shape
    gap = max(1, width // 14)
    down, across = height + gap, width + gap
    canvas = np.full((len(rows) * down - gap, len(rows[0]) * across - gap, 3), GAP)
    for row, tiles in enumerate(rows):
        for column, tile in enumerate(tiles):
            canvas[row * down :, column * across :][:height, :width] = tile
    axes.imshow(canvas)
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=str(GAP), linewidth=0.6)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.set_xticks(np.arange(len(column_names)) * across + width / 2, column_names, fontsize=7)
    axes.set_yticks(np.arange(len(row_names)) * down + height / 2, row_names)
