"""Runs that differ in their seed only, as one row: means, standard deviations, and the stability of their atoms."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from partae.figures import Array
from partae.metrics import stability
from partae.sweep.rows import Row, is_detail

DEVIATION = "_seed_std"  # behind a measure's name


def group_by_seed(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows whose settings are equal, in any order, but for the seed; in the order of the first of each group.

    >>> group_by_seed([{"p": "1", "seed": "0"}, {"p": "2", "seed": "0"}, {"p": "1", "seed": "1"}])
    [[{'p': '1', 'seed': '0'}, {'p': '1', 'seed': '1'}], [{'p': '2', 'seed': '0'}]]
    """
    groups: dict[tuple[tuple[str, object], ...], list[Row]] = {}
    for row in rows:
        settings = tuple(sorted((key, value) for key, value in row.items() if not is_detail(key) and key != "seed"))
        groups.setdefault(settings, []).append(row)
    return list(groups.values())


def has_seeds(rows: Sequence[Row]) -> bool:
    """Whether any two rows differ in their seed only."""
    return any(len(group) > 1 for group in group_by_seed(rows))


def over_seeds(rows: Sequence[Row], atoms: Mapping[str, Array] | None = None) -> list[Row]:
    """A row for each group of runs that differ in their seed only.

    A row has the number of finished runs as ``seeds``, the mean of each number that all of them have, and its sample
    standard deviation (divided by ``seeds - 1``), with ``_seed_std`` behind the name. ``stability`` is the mean
    `stability` of the atoms of two of the runs, in [-1, 1]; 1 if all seeds lead to the same atoms.

    Args:
        rows: a run each, as `read_sweep` gives them.
        atoms: (K, C, H, W) of the runs, by their folders, where they are known.
    """
    return [_row(group, atoms or {}) for group in group_by_seed(rows)]


def _row(group: Sequence[Row], atoms: Mapping[str, Array]) -> Row:
    finished = [row for row in group if row["status"] == "finished"]
    row: Row = {key: value for key, value in group[0].items() if not is_detail(key) and key != "seed"}
    row["seeds"] = len(finished)
    for key in finished[0] if finished else ():
        if all(isinstance(each.get(key), int | float) for each in finished):
            values = np.array([float(each[key]) for each in finished])
            row[key] = float(values.mean())
            if len(values) > 1:
                row[key + DEVIATION] = float(values.std(ddof=1))
    known = [torch.from_numpy(atoms[str(each["folder"])]) for each in finished if each["folder"] in atoms]
    if len(known) > 1:
        pairs = list(itertools.combinations(known, 2))
        row["stability"] = sum(stability(one, other).item() for one, other in pairs) / len(pairs)
    every = len(finished) == len(group)
    status = "finished" if every else f"{len(finished)} of {len(group)} finished"
    return {**row, "status": status, "folder": group[0]["folder"]}
