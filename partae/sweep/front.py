"""The Pareto front of a sweep: its runs that no other run beats in both of two errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from partae import figures
from partae.report import describe
from partae.sweep.rows import Row

ERRORS = ("reconstruction_error", "max_approximation_error_calibrated")  # on validation images; lower is better
Array = np.ndarray[Any, np.dtype[np.float64]]


def on_front(points: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which points (N, M) no other point beats: is at most as large in all M values, and smaller in one. (N,).

    >>> on_front(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0]])).tolist()
    [True, True, False]
    """
    at_most = (points[:, None] <= points).all(axis=2)  # [i, j]: i is at most as large as j in all values
    smaller = (points[:, None] < points).any(axis=2)
    return np.logical_not((at_most & smaller).any(axis=0))


def with_errors(rows: Sequence[Row]) -> list[Row]:
    """The runs that were measured by both errors; runs of an earlier version were not."""
    return [row for row in rows if all(f"val/{error}" in row for error in ERRORS)]


def front_of(rows: Sequence[Row]) -> list[Row]:
    """The runs on the front, by rising reconstruction error."""
    rows = with_errors(rows)
    front = [row for row, is_on in zip(rows, on_front(_points(rows)), strict=True) if is_on]
    return sorted(front, key=lambda row: float(row[f"val/{ERRORS[0]}"]))


def front_figure(rows: Sequence[Row], beside: Mapping[str, Row]) -> Figure:
    """The runs of a sweep by their two errors, with the front and other runs.

    Args:
        rows: a run each, as `read_sweep` gives them.
        beside: runs of other sweeps, by name.
    """
    others = dict(zip(beside, _points(list(beside.values())), strict=True))
    labels = [describe(error).label for error in ERRORS]
    return figures.front(_points(with_errors(rows)), _points(front_of(rows)), others, labels)


def _points(rows: Sequence[Row]) -> Array:
    return np.array([float(row[f"val/{error}"]) for row in rows for error in ERRORS]).reshape(-1, len(ERRORS))
