"""The end of a sweep: its results as a table, figures and a page."""

from __future__ import annotations

import atexit
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from partae import figures
from partae.checks import InputError, whole
from partae.figures import Array
from partae.files import SWEEP, read_yaml, write_bytes
from partae.report import collapse, describe, number, table, verdicts_of_runs
from partae.report.published import published_measures
from partae.run.hints import again_line
from partae.run.interruption import end_in_order
from partae.run.messages import stop_on_error
from partae.run.run_folder import is_grid
from partae.saving.loading import load
from partae.sweep.front import ERRORS, front_figure, front_of, fronts, with_measures
from partae.sweep.panels import panels_figure
from partae.sweep.rows import (
    SHOWN,
    Row,
    drop_shared,
    failures,
    heading,
    is_detail,
    names,
    read_sweep,
    short,
    write_csv,
    write_sweep,
)
from partae.sweep.seeds import DEVIATION, has_seeds, over_seeds
from partae.sweep.sweep_page import write_page


class Summary(Callback):
    """Ends a multirun with ``sweep.csv``, a printed table, a page, and panels where one or two settings vary.

    Runs that differ in their seed only are one line of the table, and of ``sweep_seeds.csv``. The table of a search is
    sorted by its metric.

    The exit status is 1 if a job failed. A sweep that is stopped prints the table of what it has done.

    Args:
        published: whether the table has the published measures of each model, where they are known.
        front: whether to draw the Pareto front of reconstruction error and calibrated max-approximation error, on
            validation images.
        beside: folders of other sweeps, whose runs are drawn beside the front.
        fronts: measures, as [test/reconstruction_error, test/svm_accuracy]; for each two of them the table
            ``fronts.csv``, which is printed too, has the runs on their front, means over seeds where there are several.
    """

    def __init__(
        self,
        published: bool = False,
        front: bool = False,
        beside: Sequence[str] = (),
        fronts: Sequence[str] = (),
    ) -> None:
        self.published, self.front, self.beside, self.fronts = published, front, beside, fronts
        for key in fronts:
            if not describe(key.partition("/")[2]).direction:
                raise InputError(
                    "hydra.callbacks.summary.fronts takes measures of which lower or higher is better, as "
                    f"test/svm_accuracy; got {key!r}"
                )

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        end_in_order()
        folder = Path(config.hydra.sweep.dir)
        with stop_on_error(folder):
            self._take(folder, config)
        for error in folder.glob("*/error.txt"):
            error.unlink()  # what failed is tried again
        atexit.register(self._stop, folder, _search(config))

    def _take(self, folder: Path, config: DictConfig) -> None:
        """Take ``folder`` for this sweep, unless it is a run's."""
        if (folder / ".hydra").exists():
            raise InputError(f"{folder} is the folder of a run: choose another for this sweep by hydra.sweep.dir=")
        if not is_grid(config.hydra) and (trials := config.hydra.sweeper.get("n_trials")) is not None:
            whole("hydra.sweeper.n_trials", trials)
        write_bytes(folder / SWEEP, OmegaConf.to_yaml(config).encode())  # not every sweeper does

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        atexit.unregister(self._stop)
        folder = Path(config.hydra.sweep.dir)
        rows = write_sweep(folder)
        atoms = read_atoms(folder, rows)
        self._print(folder, rows, _search(config), atoms)
        if panels := panels_figure(rows):
            figures.save(panels, folder / "panels")
            print(f"Figures are in {folder / 'panels.pdf'}")
        else:  # of fewer jobs, there may have been some
            for kind in ("png", "pdf"):
                (folder / f"panels.{kind}").unlink(missing_ok=True)
        if self.front and with_measures(rows):
            self._draw_front(folder, rows)
        print(f"Open {write_page(folder, rows, atoms)} in a browser", flush=True)
        if any(row["status"] == "failed" for row in rows):
            raise SystemExit(1)

    def _draw_front(self, folder: Path, rows: list[Row]) -> None:
        """Draw the front, and print the runs on it."""
        others: dict[str, Row] = {}
        for sweep in map(Path, self.beside):
            runs = with_measures(read_sweep(sweep))
            others |= dict(zip(names(runs), runs, strict=True))
            if not runs:
                print(f"{sweep} has no finished runs with a calibrated error to draw beside the front.")
        figures.save(front_figure(rows, others), folder / "front")
        keys = (*ERRORS, "val/hoyer_sparsity")
        front = [{key: row[key] for key in row if key in keys or not is_detail(key)} for row in front_of(rows)]
        print(f"Runs on the front, by their measures on validation images:\n\n{table(drop_shared(front))}\n")
        print(f"Figures are in {folder / 'front.pdf'}")

    def _stop(self, folder: Path, search: Search | None) -> None:
        """Print the results so far of a sweep that ends early."""
        if not any(folder.glob("*/")):
            return  # no job began: a mistyped key, say, which typed again ends the same way
        rows = write_sweep(folder)
        self._print(folder, rows, search)
        if search and all(row["status"] == "failed" for row in rows):
            return  # it would fail again
        print(f"The sweep was stopped. Continue with the other jobs:\n\n  {again_line(folder)}\n", flush=True)

    def _print(
        self, folder: Path, rows: list[Row], search: Search | None, atoms: Mapping[str, Array] | None = None
    ) -> None:
        """Print the table of a sweep, over its seeds if there are several, with verdicts and failures."""
        lines, is_over_seeds = rows, has_seeds(rows)
        if is_over_seeds:
            lines = over_seeds(rows, atoms)
            write_csv(folder / "sweep_seeds.csv", lines)
        if search:
            lines = search.sort(lines)
        published: list[dict[str, float]] = [{}] * len(lines)
        if self.published:
            configs = [read_yaml(folder / str(row["folder"]) / ".hydra" / "config.yaml") for row in lines]
            published = [published_measures(config) for config in configs]
        if rows:
            keys = dict.fromkeys(key for row in lines for key in row if not is_detail(key))
            cells = [
                {short(key): row.get(key, "") for key in keys} | _cells(row, known, search, is_best=not index)
                for index, (row, known) in enumerate(zip(lines, published, strict=True))
            ]
            print(f"\n{table(drop_shared(cells))}\n")
        if is_over_seeds:
            print("Means over seeds ± sample standard deviations; stability is that of the atoms between seeds.")
        if self.fronts and rows:
            found = fronts(lines, self.fronts)
            write_csv(folder / "fronts.csv", found)
            print(f"Runs that no other beats in both of two measures:\n\n{table(drop_shared(found))}\n")
        if any(published):
            print("Measures are of test images; published ones are in brackets.")
        for verdict in verdicts_of_runs([row for row in rows if row["status"] == "finished"]):
            print(verdict)
        if failed := failures(folder, rows):
            print(f"{len(failed)} of {len(rows)} jobs failed:", *failed, sep="\n  ")
        print(f"Written to {folder / 'sweep.csv'}", flush=True)


class Search(NamedTuple):
    """The aim of a sweeper that searches.

    Args:
        metric: its column in sweep.csv.
        sign: 1 if it is minimized, -1 if it is maximized.
    """

    metric: str
    sign: int

    def sort(self, rows: list[Row]) -> list[Row]:
        """Rows with the best first, and those that were not measured last."""
        return sorted(rows, key=lambda row: self.sign * float(row.get(self.metric, self.sign * math.inf)))


def _search(config: DictConfig) -> Search | None:
    """The aim of a multirun's sweeper; None if it does not search."""
    direction = OmegaConf.select(config, "hydra.sweeper.direction")
    return Search(config.metric, -1 if direction == "maximize" else 1) if isinstance(direction, str) else None


def _cells(row: Row, published: Mapping[str, float], search: Search | None, *, is_best: bool) -> Row:
    """The status and the measures of a row as printed: ``mean ± deviation (published)``, what there is of it."""
    cells: Row = {"status": f"{row['status']}{', collapsed' if collapse(row) else ''}"}
    if search:
        best = " (best)" if is_best else ""
        cells[search.metric] = f"{number(float(row[search.metric]))}{best}" if search.metric in row else ""
    for name in SHOWN:
        key = f"test/{name}"
        if name.endswith("_accuracy") and key not in row:
            continue
        deviation = f" ± {_brief(float(row[key + DEVIATION]))}" if key + DEVIATION in row else ""
        known = f" ({published[name]:g})" if key in row and name in published else ""
        value = row.get(key, "")
        cells[heading(name)] = f"{number(float(value))}{deviation}{known}" if deviation or known else value
    return cells | {key: row[key] for key in ("stability",) if key in row}


def _brief(deviation: float) -> str:
    return f"{deviation:#.2g}" if deviation else "0"


def read_atoms(folder: Path, rows: list[Row]) -> dict[str, Array]:
    """The atoms of each run that has a checkpoint, by its folder's name."""
    atoms = {}
    for run in (str(row["folder"]) for row in rows):
        with suppress(InputError):  # an unfinished run may have no checkpoint yet
            atoms[run] = load(folder / run).atoms.detach().numpy()
    return atoms
