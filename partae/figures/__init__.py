"""Figures from arrays, in one style; they know nothing of models."""

from partae.figures.curves import code_histograms, coefficient_paths, front, penalties, sweep_panels
from partae.figures.style import Array, save
from partae.figures.tiles import atom_grids, atom_rows, atoms, coloured, image_rows, overview, scaled_each

__all__ = [
    "Array",
    "atom_grids",
    "atom_rows",
    "atoms",
    "code_histograms",
    "coefficient_paths",
    "coloured",
    "front",
    "image_rows",
    "overview",
    "penalties",
    "save",
    "scaled_each",
    "sweep_panels",
]
