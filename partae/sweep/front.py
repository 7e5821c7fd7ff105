"""The Pareto front of a sweep: its runs that no other run beats in both of two measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from partae import figures
from partae.report import Cell, wording

ERRORS = ("reconstruction_error", "max_approximation_error_calibrated")  # the lower, the better
Array = np.ndarray[Any, np.dtype[np.float64]]
Row = Mapping[str, Cell]


def on_front(points: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which points (N, M) no other point beats: is at most as large in all M values, and smaller in one. (N,).

    >>> on_front(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0]])).tolist()
    [True, True, False]
    """
    at_most = (points[:, None] <= points).all(axis=2)  # [i, j]: i is at most as large as j in all values
    smaller = (points[:, None] < points).any(axis=2)
    return np.logical_not((at_most & smaller).any(axis=0))


def front_of(rows: Sequence[Row]) -> list[Row]:
    """The finished runs on the front of the two errors on validation images, by rising reconstruction error."""
    finished = [row for row in rows if row["status"] == "finished"]
    if not finished:
        return []
    points = _points(finished)
    front = [row for row, on in zip(finished, on_front(points), strict=True) if on]
    return sorted(front, key=lambda row: float(row[f"val/{ERRORS[0]}"]))


def front_figure(rows: Sequence[Row], beside: Mapping[str, Row]) -> Figure:
    """The runs of a sweep by their two errors on validation images, with the front, and other runs.

    Args:
        rows: a run each, as `read_sweep` gives them.
        beside: runs of other sweeps, by name.
    """
    finished = [row for row in rows if row["status"] == "finished"]
    others = {name: _points([row])[0] for name, row in beside.items()}
    return figures.front(
        _points(finished),
        _points(front_of(rows)),
        {"other runs": others},
        [wording(name).label for name in ERRORS],
    )


def _points(rows: Sequence[Row]) -> Array:
    return np.array([[float(row[f"val/{error}"]) for error in ERRORS] for row in rows], dtype=float)
