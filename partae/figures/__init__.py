"""Figures from arrays, in one style."""

from partae.figures.curves import code_histograms, front, sweep_panels
from partae.figures.style import Array, save, styled
from partae.figures.tiles import atom_grids, atom_rows, atoms, coloured, image_rows, overview, scaled_each

__all__ = [
    "Array",
    "atom_grids",
    "atom_rows",
    "atoms",
    "code_histograms",
    "coloured",
    "front",
    "image_rows",
    "overview",
    "save",
    "scaled_each",
    "styled",
    "sweep_panels",
]
