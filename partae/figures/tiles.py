"""Figures of images and atoms, side by side as tiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from partae.figures.style import Array, styled

GAP = 0.8  # grey between tiles, on which neither white nor black ones lose their edges


@styled
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


@styled
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


@styled
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


@styled
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


@styled
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
    shape = len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3
    canvas = np.full(shape, GAP)
    for row, tiles in enumerate(rows):
        for column, tile in enumerate(tiles):
            top, left = row * (height + gap), column * (width + gap)
            canvas[top : top + height, left : left + width] = tile
    axes.imshow(canvas)
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=str(GAP), linewidth=0.6)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    x = np.arange(columns) * (width + gap) + width / 2
    y = np.arange(len(rows)) * (height + gap) + height / 2
    return x, y
