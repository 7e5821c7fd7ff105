"""The results of a sweep in one table, and in the panels of a figure."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hydra.experimental.callback import Callback
from matplotlib.figure import Figure
from omegaconf import DictConfig

from partae import figures
from partae.files import read_yaml
from partae.report import number, table, verdicts_of_runs, wording
from partae.report.published import published_measures
from partae.run.command_line import again_line
from partae.run.folder import failure
from partae.run.interruption import end_in_order
from partae.sweep.front import ERRORS, front_figure, front_of
from partae.sweep.rows import (
    SHOWN,
    Row,
    is_detail,
    is_number,
    names,
    read_sweep,
    settings,
    short,
    telling,
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
    """Ends a multirun with ``sweep.csv``, a row a job, the same as a printed table, and panels where two numbers vary.

    So it ends by itself, with exit status 1 if a job failed; stopped on its way, it says how far it has come.

    Args:
        published: whether the published figures of each model, where there are some, are put beside ours.
        front: whether the Pareto front of reconstruction error and calibrated max-approximation error is drawn, on
            validation images.
        beside: folders of other sweeps, whose runs are put beside the front.
    """

    def __init__(self, published: bool = False, front: bool = False, beside: Sequence[str] = ()) -> None:
        self.published, self.front, self.beside = published, front, beside
        self._stopped: Callable[[], None] | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        end_in_order()
        folder = Path(config.hydra.sweep.dir)
        for error in folder.glob("*/error.txt"):
            error.unlink()  # what failed is tried again
        self._stopped = partial(self._stop, folder)
        atexit.register(self._stopped)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        if self._stopped:
            atexit.unregister(self._stopped)
        folder = Path(config.hydra.sweep.dir)
        rows = self._print(folder)
        if panels := sweep_figure(rows):
            figures.save(panels, folder / "panels")
            print(f"Drawn in {folder / 'panels.pdf'}")
        if self.front and any(row["status"] == "finished" for row in rows):
            self._draw_front(folder, rows)
        print(f"To be looked at in {write_page(folder, rows)}", flush=True)
        if any(row["status"] == "failed" for row in rows):
            raise SystemExit(1)

    def _draw_front(self, folder: Path, rows: list[Row]) -> None:
        """Draw the front, and print the runs on it."""
        rows = [row for row in rows if f"val/{ERRORS[1]}" in row]  # not those of an earlier version
        if not rows:
            return
        others: dict[str, Row] = {}
        for sweep in map(Path, self.beside):
            runs = [row for row in read_sweep(sweep) if row["status"] == "finished" and f"val/{ERRORS[1]}" in row]
            others |= dict(zip(names(runs), runs, strict=True))
            if not runs:
                print(f"{sweep} has no finished runs with a calibrated error to put beside the front.")
        figures.save(front_figure(rows, others), folder / "front")
        keys = [f"val/{name}" for name in (*ERRORS, "hoyer_sparsity")]
        shown = telling([{key: row[key] for key in row if key in keys or not is_detail(key)} for row in front_of(rows)])
        print(f"On the front, on validation images:\n\n{table(shown)}\n\nDrawn in {folder / 'front.pdf'}")

    def _stop(self, folder: Path) -> None:
        """What a sweep says that did not come to its end."""
        self._print(folder)
        print(f"Stopped before its end. Go on, without what is finished, with\n\n  {again_line(folder)}\n", flush=True)

    def _print(self, folder: Path) -> list[Row]:
        """Write and print the table of a sweep, and what failed in it."""
        rows = write_sweep(folder)
        if rows:
            keys = dict.fromkeys(key for row in rows for key in row if not is_detail(key))
            shown = [{short(key): row.get(key, "") for key in keys} | self._shown(folder, row) for row in rows]
            print(f"\n{table(telling(shown))}\n")
        if self.published and any(published_measures(_config(folder, row)) for row in rows):
            print("Test images; in brackets the published figures.")
        for verdict in verdicts_of_runs([row for row in rows if row["status"] == "finished"]):
            print(verdict)
        if failed := [row for row in rows if row["status"] == "failed"]:
            print(f"{len(failed)} of {len(rows)} jobs failed:")
            for row, given in zip(rows, settings(rows), strict=True):
                if row in failed:
                    told = " ".join(f"{key}={value}" for key, value in given.items())
                    print(f"  {told}: {failure(folder / str(row['folder']))}")
        print(f"Written to {folder / 'sweep.csv'}", flush=True)
        return rows

    def _shown(self, folder: Path, row: Row) -> Row:
        """What the printed table has of the measures in a row; ``ours (published)`` where both are known."""
        shown: Row = {"status": row["status"]}
        known = published_measures(_config(folder, row)) if self.published else {}
        for name in SHOWN:
            if name == "svm_accuracy" and f"test/{name}" not in row:
                continue
            value = row.get(f"test/{name}", "")
            heading = name.replace("max_approximation_error_", "..._")
            shown[heading] = f"{number(float(value))} ({known[name]:g})" if value != "" and name in known else value
        return shown


def _config(folder: Path, row: Row) -> dict[str, Any]:
    """The configuration of the run of a row, as plain data."""
    return read_yaml(folder / str(row["folder"]) / ".hydra" / "config.yaml")


def sweep_figure(rows: list[Row]) -> Figure | None:
    """Measures against the key with the most values, a curve for each value of the other, where two numbers vary."""
    finished = [row for row in rows if row["status"] == "finished"]
    varied = {
        key: {str(row.get(key)) for row in finished}
        for key in dict.fromkeys(key for row in finished for key in row)
        if not is_detail(key)
    }
    keys = [key for key, values in varied.items() if len(values) > 1]
    if len(keys) != 2 or not all(is_number(value) for key in keys for value in varied[key]):
        return None
    x, series = sorted(keys, key=lambda key: -len(varied[key]))
    if len(varied[series]) == len(finished):
        return None  # a search, which meets no value twice: a curve would be a point
    panels = {}
    for name in (each for each in PANELS if all(f"test/{each}" in row for row in finished)):
        curves = {}
        for value in sorted(varied[series], key=float):
            points = sorted((float(row[x]), float(row[f"test/{name}"])) for row in finished if row[series] == value)
            curves[value] = (np.array([at for at, _ in points]), np.array([measure for _, measure in points]))
        panels[wording(name).label] = curves
    return figures.sweep_panels(panels, x, series)
