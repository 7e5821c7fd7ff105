"""The jobs of a sweep as rows: overrides, measures and status of each."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from partae.files import read_yaml, subtree, write_bytes
from partae.report import Cell
from partae.run.run_folder import failure, measures_of, status

Row = dict[str, Cell]
DETAILS = {"folder", "status", "stability", "name"}
# the measures of a printed table, in this order
SHOWN = (
    "reconstruction_error",
    "hoyer_sparsity",
    "max_approximation_error",
    "max_approximation_error_clipped",
    "max_approximation_error_calibrated",
    "svm_accuracy",
    "clustering_accuracy",
    "knn_accuracy",
    "dead_atoms",
    "contributing_atoms",
)


def read_sweep(folder: Path) -> list[Row]:
    """A row for each job in a sweep's folder, in their order: overrides, seed, measures, wall time, status, folder.

    Where several commands have filled the folder, jobs with the same keys stay together.
    """
    rows: list[tuple[tuple[int, list[str], int, str], Row]] = []
    for file in folder.glob("*/.hydra/hydra.yaml"):
        run = file.parent.parent
        hydra = subtree(read_yaml(file), "hydra")
        if hydra.get("mode") != "MULTIRUN":
            continue  # a run of its own, in the same folder
        overrides = map(str, read_yaml(file.with_name("overrides.yaml"), list))
        row: Row = {key: value for key, _, value in (override.partition("=") for override in overrides)}
        order = (len(row), list(row), int(subtree(hydra, "job").get("num", 0)), run.name)
        row.setdefault("seed", str(read_yaml(file.with_name("config.yaml")).get("seed", "")))
        row |= {"status": status(run), "folder": run.name}
        if row["status"] == "finished":  # a job that is refused may still have the measures of an earlier training
            row |= measures_of(run)
        rows.append((order, row))
    return [row for _, row in sorted(rows, key=lambda item: item[0])]


def evaluated_rows(folder: Path, measures: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """The rows of the sweep in ``folder``, with the measures of an evaluation, by the folders' names of its runs.

    They replace all measures of test images: those of a training may be of other images, or by another protocol.
    """
    rows = {str(row["folder"]): row for row in read_sweep(folder)}
    for run, found in measures.items():
        row = rows.get(run, {"folder": run, "status": "finished"})
        rows[run] = {**{key: value for key, value in row.items() if not key.startswith("test/")}, **found}
    return list(rows.values())


def write_sweep(folder: Path) -> list[Row]:
    """Write ``sweep.csv`` with the jobs so far, and return its rows."""
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
    """The overrides of each row that differ between rows; all of them if there is one row.

    >>> settings([{"a": "1", "b": "2", "test/loss": 0.5}, {"a": "1", "b": "3", "test/loss": 0.25}])
    [{'b': '2'}, {'b': '3'}]
    """
    return drop_shared([{key: value for key, value in row.items() if not is_detail(key)} for row in rows])


def failures(folder: Path, rows: list[Row]) -> list[str]:
    """Each failed job of the sweep in ``folder``: the settings that tell it from the others, and its error."""
    return [
        f"{' '.join(f'{key}={value}' for key, value in given.items())}: {failure(folder / str(row['folder']))}"
        for row, given in zip(rows, settings(rows), strict=True)
        if row["status"] == "failed"
    ]


def names(rows: list[Row]) -> list[str]:
    """A short name for each row, from its `settings`: a word as it is, a number with its key.

    Rows that would share a name have the keys of their words too or, if that is not enough, the name of their folder.

    >>> names([{"model": "pca", "seed": "0"}, {"model": "pca", "seed": "1"}, {"model": "nmf", "seed": "0"}])
    ['pca, seed=0', 'pca, seed=1', 'nmf, seed=0']
    >>> names([{"encoder.activation": "relu"}, {"decoder.activation": "relu"}, {"model": "nmf"}])
    ['encoder.activation=relu', 'decoder.activation=relu', 'nmf']
    """
    differing = settings(rows)
    words = [_name(each) for each in differing]
    spelt_out = [_name(each, with_keys=True) for each in differing]
    folders = [str(row.get("folder", name)) for row, name in zip(rows, spelt_out, strict=True)]
    candidates = zip(_unique(words), _unique(spelt_out), folders, strict=True)
    return [word or name or folder for word, name, folder in candidates]


def drop_shared(rows: list[Row]) -> list[Row]:
    """Drop the text columns that are equal in all rows, except ``status``; a single row is returned unchanged."""
    if len(rows) < 2:
        return rows
    shared = {
        key
        for key, value in rows[0].items()
        if isinstance(value, str) and key != "status" and all(row.get(key) == value for row in rows)
    }
    return [{key: value for key, value in row.items() if key not in shared} for row in rows]


def is_detail(key: str) -> bool:
    """Whether a column is no override: it is in sweep.csv, but not among the settings of a printed table."""
    return key.startswith(("test/", "val/", "wall_time", "fit_seconds")) or key in DETAILS


def short(key: str) -> str:
    """A column's heading: a config group without its folder and package.

    >>> short("hydra/launcher"), short("table_1@_global_"), short("sparsity.p")
    ('launcher', 'table_1', 'sparsity.p')
    """
    return key.rpartition("/")[2].partition("@")[0]


def heading(measure: str) -> str:
    """The heading of a measure in a printed table."""
    return measure.replace("max_approximation_error_", "..._")


def is_number(text: str) -> bool:
    """Whether a setting is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unique(names: list[str]) -> list[str]:
    """The names with "" for those that occur twice."""
    return [name if names.count(name) == 1 else "" for name in names]


def _name(settings: Row, *, with_keys: bool = False) -> str:
    pairs = [(short(key), str(value)) for key, value in settings.items() if value != ""]
    return ", ".join(f"{key}={value}" if with_keys or is_number(value) else value for key, value in pairs)
