"""Pareto fronts of a sweep: its runs that no other run beats in both of two measures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from partae import figures
from partae.report import describe
from partae.sweep.rows import Row, drop_shared, names

ERRORS = ("val/reconstruction_error", "val/max_approximation_error_calibrated")  # of the front that is drawn
# the overrides that choose the images
IMAGES = re.compile(r"\+*(data($|\.(source|image_shape|val_size|seed)($|\.))|experiment($|/images))")
Array = np.ndarray[Any, np.dtype[np.float64]]


def on_front(points: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which points (N, M) no other point beats: is at most as large in all M values, and smaller in one. (N,).

    >>> on_front(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0]])).tolist()
    [True, True, False]
    """
    at_most = (points[:, None] <= points).all(axis=2)  # [i, j]: i is at most as large as j in all values
    smaller = (points[:, None] < points).any(axis=2)
    return np.logical_not((at_most & smaller).any(axis=0))


def with_measures(rows: Sequence[Row], keys: Sequence[str] = ERRORS) -> list[Row]:
    """The runs that have all measures, as finite numbers; a run without validation lacks some."""
    return [row for row in rows if all(math.isfinite(float(row.get(key, math.nan))) for key in keys)]


def front_of(rows: Sequence[Row], keys: Sequence[str] = ERRORS) -> list[Row]:
    """The runs on the front of some measures, the best by the first one in front.

    Args:
        rows: a run each, as `read_sweep` gives them, or over seeds.
        keys: of the measures, with their split, as in "test/svm_accuracy"; `MEANINGS` says which way is better.
    """
    rows = with_measures(rows, keys)
    front = [row for row, is_on in zip(rows, on_front(_points(rows, keys)), strict=True) if is_on]
    return sorted(front, key=lambda row: _sign(keys[0]) * float(row[keys[0]]))


def fronts(rows: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """Who is on the front of which two measures: a row for each two of ``keys``, with the names of the runs on it.

    Runs on different images do not compare: each choice of images has fronts of its own.
    """
    found: list[Row] = []
    overrides = drop_shared(list(rows))
    of_rows = [", ".join(str(value) for key, value in row.items() if IMAGES.match(key)) for row in overrides]
    for data in dict.fromkeys(of_rows):
        same = [row for row, images in zip(rows, of_rows, strict=True) if images == data]
        known = names([{key: value for key, value in row.items() if key != "seeds"} for row in same])
        folders = {row["folder"]: name for row, name in zip(same, known, strict=True)}
        for first, second in combinations(keys, 2):
            front = ", ".join(folders[row["folder"]] for row in front_of(same, (first, second)))
            found.append({"data": data, "first": first, "second": second, "front": front or "no run has both"})
    return found


def front_figure(rows: Sequence[Row], beside: Mapping[str, Row]) -> Figure:
    """The runs of a sweep by their two errors, with the front and other runs.

    Args:
        rows: a run each, as `read_sweep` gives them.
        beside: runs of other sweeps, by name.
    """
    others = dict(zip(beside, _points(list(beside.values())), strict=True))
    labels = [describe(key.partition("/")[2]).label for key in ERRORS]
    return figures.front(_points(with_measures(rows)), _points(front_of(rows)), others, labels)


def _points(rows: Sequence[Row], keys: Sequence[str] = ERRORS) -> Array:
    """The measures of each run, (N, M), lower is better."""
    return np.array([_sign(key) * float(row[key]) for row in rows for key in keys]).reshape(-1, len(keys))


def _sign(key: str) -> int:
    """1 for a measure of which lower is better, -1 for the others."""
    return -1 if describe(key.partition("/")[2]).direction.startswith("higher") else 1
