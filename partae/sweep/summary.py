"""The end of a sweep: its results as a table, figures and a page."""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.experimental.callback import Callback
from matplotlib.figure import Figure
from omegaconf import DictConfig

from partae import figures
from partae.files import read_yaml
from partae.report import describe, number, table, verdicts_of_runs
from partae.report.published import published_measures
from partae.run.hints import again_line
from partae.run.interruption import end_in_order
from partae.run.run_folder import failure
from partae.sweep.front import ERRORS, front_figure, front_of, with_errors
from partae.sweep.rows import (
    SHOWN,
    Row,
    drop_shared,
    heading,
    is_detail,
    is_number,
    names,
    read_sweep,
    settings,
    short,
    write_sweep,
)
from partae.sweep.sweep_page import write_page

PANELS = (
    "reconstruction_error",
    "hoyer_sparsity",
    "max_approximation_error",
    "max_approximation_error_of_reconstruction",
    "max_approximation_error_clipped",
    "max_approximation_error_calibrated",
)


class Summary(Callback):
    """Ends a multirun with ``sweep.csv``, a printed table, a page, and panels where two numbers vary.

    The exit status is 1 if a job failed. A sweep that is stopped prints the table of what it has done.

    Args:
        published: whether the table has the published measures of each model, where they are known.
        front: whether to draw the Pareto front of reconstruction error and calibrated max-approximation error, on
            validation images.
        beside: folders of other sweeps, whose runs are drawn beside the front.
    """

    def __init__(self, published: bool = False, front: bool = False, beside: Sequence[str] = ()) -> None:
        self.published, self.front, self.beside = published, front, beside

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        end_in_order()
        folder = Path(config.hydra.sweep.dir)
        for error in folder.glob("*/error.txt"):
            error.unlink()  # what failed is tried again
        atexit.register(self._stop, folder)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        atexit.unregister(self._stop)
        folder = Path(config.hydra.sweep.dir)
        rows = self._print(folder)
        if panels := sweep_figure(rows):
            figures.save(panels, folder / "panels")
            print(f"Figures are in {folder / 'panels.pdf'}")
        if self.front and with_errors(rows):
            self._draw_front(folder, rows)
        print(f"Open {write_page(folder, rows)} in a browser", flush=True)
        if any(row["status"] == "failed" for row in rows):
            raise SystemExit(1)

    def _draw_front(self, folder: Path, rows: list[Row]) -> None:
        """Draw the front, and print the runs on it."""
        others: dict[str, Row] = {}
        for sweep in map(Path, self.beside):
            runs = with_errors(read_sweep(sweep))
            others |= dict(zip(names(runs), runs, strict=True))
            if not runs:
                print(f"{sweep} has no finished runs with a calibrated error to draw beside the front.")
        figures.save(front_figure(rows, others), folder / "front")
        keys = [f"val/{name}" for name in (*ERRORS, "hoyer_sparsity")]
        front = [{key: row[key] for key in row if key in keys or not is_detail(key)} for row in front_of(rows)]
        print(f"Runs on the front, by their measures on validation images:\n\n{table(drop_shared(front))}\n")
        print(f"Figures are in {folder / 'front.pdf'}")

    def _stop(self, folder: Path) -> None:
        """Print the results so far of a sweep that ends early."""
        self._print(folder)
        print(f"The sweep was stopped. Continue with the other jobs:\n\n  {again_line(folder)}\n", flush=True)

    def _print(self, folder: Path) -> list[Row]:
        """Write and print the table of a sweep, with verdicts and failures; its rows."""
        rows = write_sweep(folder)
        published: list[dict[str, float]] = [{}] * len(rows)
        if self.published:
            configs = [read_yaml(folder / str(row["folder"]) / ".hydra" / "config.yaml") for row in rows]
            published = [published_measures(config) for config in configs]
        if rows:
            keys = dict.fromkeys(key for row in rows for key in row if not is_detail(key))
            lines = [
                {short(key): row.get(key, "") for key in keys} | _measures(row, known)
                for row, known in zip(rows, published, strict=True)
            ]
            print(f"\n{table(drop_shared(lines))}\n")
        if any(published):
            print("Measures are of test images; published ones are in brackets.")
        for verdict in verdicts_of_runs([row for row in rows if row["status"] == "finished"]):
            print(verdict)
        failed = [(row, given) for row, given in zip(rows, settings(rows), strict=True) if row["status"] == "failed"]
        if failed:
            print(f"{len(failed)} of {len(rows)} jobs failed:")
        for row, given in failed:
            job = " ".join(f"{key}={value}" for key, value in given.items())
            print(f"  {job}: {failure(folder / str(row['folder']))}")
        print(f"Written to {folder / 'sweep.csv'}", flush=True)
        return rows


def _measures(row: Row, published: Mapping[str, float]) -> Row:
    """The status and the measures of a row as printed: ``ours (published)`` where both are known."""
    cells: Row = {"status": row["status"]}
    for name in SHOWN:
        value = row.get(f"test/{name}", "")
        if name == "svm_accuracy" and value == "":
            continue
        is_known = value != "" and name in published
        cells[heading(name)] = f"{number(float(value))} ({published[name]:g})" if is_known else value
    return cells


def sweep_figure(rows: list[Row]) -> Figure | None:
    """Panels of measures where exactly two numbers vary: a curve for each value of the one that has fewer."""
    finished = [row for row in rows if row["status"] == "finished"]
    keys = dict.fromkeys(key for row in finished for key in row if not is_detail(key))
    values = {key: {str(row.get(key)) for row in finished} for key in keys}
    varied = [key for key in keys if len(values[key]) > 1]
    if len(varied) != 2 or not all(is_number(value) for key in varied for value in values[key]):
        return None
    x, series = sorted(varied, key=lambda key: -len(values[key]))
    if len(values[series]) == len(finished):
        return None  # a search meets no value twice: each curve would be a point
    panels = {}
    for name in PANELS:
        if not all(f"test/{name}" in row for row in finished):
            continue
        curves = {}
        for value in sorted(values[series], key=float):
            points = sorted((float(row[x]), float(row[f"test/{name}"])) for row in finished if row[series] == value)
            across, up = np.array(points).T
            curves[value] = (across, up)
        panels[describe(name).label] = curves
    return figures.sweep_panels(panels, x, series)
