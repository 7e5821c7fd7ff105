"""The jobs of a sweep as rows: what each was given, what it measured, and how it stands."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from partae.files import read_yaml, subtree, write_bytes
from partae.report import Cell
from partae.run.folder import is_finished, measures_of, status

Row = dict[str, Cell]
# the measures of a table that is printed, in this order
SHOWN = (
    "reconstruction_error",
    "hoyer_sparsity",
    "max_approximation_error",
    "max_approximation_error_clipped",
    "max_approximation_error_calibrated",
    "svm_accuracy",
    "dead_atoms",
)


def read_sweep(folder: Path) -> list[Row]:
    """A row for each job in a sweep's folder, in their order: overrides, seed, measures, wall time, status, folder.

    Where several commands have filled the folder, jobs that were given the same keys stay together.
    """
    rows: list[tuple[tuple[int, list[str], int, str], Row]] = []
    for file in folder.glob("*/.hydra/hydra.yaml"):
        run = file.parent.parent
        hydra = subtree(read_yaml(file), "hydra")
        if hydra.get("mode") != "MULTIRUN":
            continue  # a run of the same name, beside the sweep
        given = map(str, read_yaml(file.with_name("overrides.yaml"), list))
        row: Row = {key: value for key, _, value in (each.partition("=") for each in given)}
        order = (len(row), list(row), int(subtree(hydra, "job").get("num", 0)), run.name)
        row.setdefault("seed", str(read_yaml(file.with_name("config.yaml")).get("seed", "")))
        if is_finished(run):
            row |= measures_of(run)
        row |= {"status": status(run), "folder": run.name}
        rows.append((order, row))
    return [row for _, row in sorted(rows, key=lambda item: item[0])]


def write_sweep(folder: Path) -> list[Row]:
    """Write ``sweep.csv`` as far as the sweep in ``folder`` has come; its rows."""
    rows = read_sweep(folder)
    write_csv(folder / "sweep.csv", rows)
    return rows


def write_csv(path: Path, rows: list[Row]) -> None:
    """Write ``rows`` to ``path``, a column for each key that any row has; whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def settings(rows: list[Row]) -> list[Row]:
    """What each row was given and others were not; all of it where there is one row only.

    >>> settings([{"a": "1", "b": "2", "test/loss": 0.5}, {"a": "1", "b": "3", "test/loss": 0.25}])
    [{'b': '2'}, {'b': '3'}]
    """
    return telling([{key: value for key, value in row.items() if not is_detail(key)} for row in rows])


def names(rows: list[Row]) -> list[str]:
    """A short name for each row, of its `settings`: a word as it is, a number with its key.

    Rows that would share one have the keys of their words too, and if that is not enough, the name of their folder.

    >>> names([{"model": "pca", "seed": "0"}, {"model": "pca", "seed": "1"}, {"model": "nmf", "seed": "0"}])
    ['pca, seed=0', 'pca, seed=1', 'nmf, seed=0']
    >>> names([{"encoder.activation": "relu"}, {"decoder.activation": "relu"}, {"model": "nmf"}])
    ['encoder.activation=relu', 'decoder.activation=relu', 'nmf']
    """
    given = settings(rows)
    short_names = [_name(each) for each in given]
    long_names = [_name(each, spelt=True) for each in given]
    folders = [str(row.get("folder", name)) for row, name in zip(rows, long_names, strict=True)]
    return [
        one if short_names.count(one) == 1 else other if long_names.count(other) == 1 else folder
        for one, other, folder in zip(short_names, long_names, folders, strict=True)
    ]


def telling(rows: list[Row]) -> list[Row]:
    """The rows without what all of them were given alike, unless that leaves nothing to tell them by."""
    if not rows:
        return []
    first = rows[0]
    alike = {
        key for key, value in first.items() if isinstance(value, str) and all(row.get(key) == value for row in rows)
    }
    return (
        [{key: value for key, value in row.items() if key not in alike - {"status"}} for row in rows]
        if rows[1:]
        else rows
    )


def is_detail(key: str) -> bool:
    """Whether a column is in the file only, not in the printed table."""
    return key.startswith(("test/", "val/")) or key in ("folder", "status", "wall_time", "experiment", "name")


def short(key: str) -> str:
    """A column's heading: a group without the folder that it lies in and the package that it fills."""
    return key.rpartition("/")[2].partition("@")[0]


def is_number(text: str) -> bool:
    """Whether a setting is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _name(given: Row, *, spelt: bool = False) -> str:
    told = [(short(key), str(value)) for key, value in given.items() if value != ""]
    return ", ".join(f"{key}={value}" if spelt or is_number(value) else value for key, value in told)
