"""The results of a sweep in one table, and in the panels of a figure."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from hydra.experimental.callback import Callback
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf

from partae import figures
from partae.files import write_bytes
from partae.published import published_measures
from partae.report import Cell, number, table
from partae.sweep.page import write_page

SHOWN = ("reconstruction_error", "hoyer_sparsity", "max_approximation_error", "svm_accuracy", "dead_atoms")
PANELS = (
    "reconstruction_error",
    "hoyer_sparsity",
    "max_approximation_error",
    "max_approximation_error_of_reconstruction",
)
Row = dict[str, Cell]


class Summary(Callback):
    """Ends a multirun with ``sweep.csv``, a row a job, the same as a printed table, and panels where two numbers vary.

    Args:
        published: whether the published figures of each model, where there are some, are put beside ours.
    """

    def __init__(self, published: bool = False) -> None:
        self.published = published

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        rows = read_sweep(folder)
        write_csv(folder / "sweep.csv", rows)
        print(f"\n{table([self._shown(folder, row) for row in rows])}\n")
        if self.published:
            print("Test images; in brackets the published figures.")
        print(f"Written to {folder / 'sweep.csv'}")
        if panels := sweep_figure(rows):
            figures.save(panels, folder / "panels")
            print(f"Drawn in {folder / 'panels.pdf'}")
        print(f"To be looked at in {write_page(folder, rows)}")

    def _shown(self, folder: Path, row: Row) -> Row:
        """What the printed table has of a row; ``ours (published)`` where both are known."""
        shown = {_short(key): value for key, value in row.items() if not _is_detail(key)} | {"status": row["status"]}
        known = {}
        if self.published:
            known = published_measures(_plain(folder / str(row["folder"]) / ".hydra" / "config.yaml"))
        for name in SHOWN:
            if name == "svm_accuracy" and f"test/{name}" not in row:
                continue
            value = row.get(f"test/{name}", "")
            shown[name] = f"{number(float(value))} ({known[name]:g})" if value != "" and name in known else value
        return shown


def read_sweep(folder: Path) -> list[Row]:
    """A row for each job in a sweep's folder, in the order of the jobs: overrides, measures, status, folder."""
    rows: list[tuple[int, Row]] = []
    for file in folder.glob("*/.hydra/hydra.yaml"):
        run = file.parent.parent
        hydra = _plain(file)["hydra"]
        row: Row = {
            key: value for key, _, value in (override.partition("=") for override in hydra["overrides"]["task"])
        }
        finished = run / "metrics.json"
        if finished.exists():
            row |= json.loads(finished.read_text())
        row |= {"status": "finished" if finished.exists() else "unfinished", "folder": run.name}
        rows.append((int(hydra["job"]["num"]), row))
    return [row for _, row in sorted(rows, key=lambda item: item[0])]


def _plain(file: Path) -> Any:
    """What a file of Hydra's holds, as plain data: a reference stays the text that it is."""
    return OmegaConf.to_container(OmegaConf.load(file), resolve=False)


def job_folder(overrides: str) -> str:
    """A job's folder, from its overrides: one level deep, and a word that Hydra's command line takes as it is.

    >>> job_folder("experiment/table_1@_global_-none__data.source.root-/data")
    'table_1-none__data.source.root-_data'
    """
    short = re.sub(r"(^|__)(?:\w+/)*(\w+)@\w+-", r"\1\2-", overrides)
    return re.sub(r"[^\w.+-]", "_", short) or "job"


def write_csv(path: Path, rows: list[Row]) -> None:
    """Write ``rows`` to ``path``, a column for each key that any row has; whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def sweep_figure(rows: list[Row]) -> Figure | None:
    """Measures against the key with the most values, a curve for each value of the other, where two numbers vary."""
    finished = [row for row in rows if row["status"] == "finished"]
    varied = {
        key: {str(row.get(key)) for row in finished}
        for key in dict.fromkeys(key for row in finished for key in row)
        if not _is_detail(key)
    }
    keys = [key for key, values in varied.items() if len(values) > 1]
    if len(keys) != 2 or not all(_is_number(value) for key in keys for value in varied[key]):
        return None
    series, x = sorted(keys, key=lambda key: len(varied[key]))
    panels = {}
    for name in PANELS:
        curves = {}
        for value in sorted(varied[series], key=float):
            points = sorted((float(row[x]), float(row[f"test/{name}"])) for row in finished if row[series] == value)
            curves[value] = (np.array([at for at, _ in points]), np.array([measure for _, measure in points]))
        panels[name] = curves
    return figures.sweep_panels(panels, x, series)


def _is_detail(key: str) -> bool:
    """Whether a column is in the file only, not in the printed table."""
    return key.startswith(("test/", "val/")) or key in ("folder", "status", "experiment", "name")


def _short(key: str) -> str:
    """A column's heading: a group without the folder that it lies in and the package that it fills."""
    return key.rpartition("/")[2].partition("@")[0]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
