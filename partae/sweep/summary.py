"""The results of a sweep in one table, and in the panels of a figure."""

from __future__ import annotations

import atexit
import csv
import io
import itertools
import re
import shlex
import sys
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hydra.experimental.callback import Callback
from matplotlib.figure import Figure
from omegaconf import DictConfig

from partae import figures
from partae.files import write_bytes
from partae.interruption import end_in_order
from partae.published import published_measures
from partae.report import Cell, number, table
from partae.sweep.front import ERRORS, front_figure, front_of
from partae.sweep.jobs import failure, is_finished, measures_of, status
from partae.sweep.page import write_page

SHOWN = ("reconstruction_error", "hoyer_sparsity", "max_approximation_error", "svm_accuracy", "dead_atoms")
PANELS = (
    "reconstruction_error",
    "hoyer_sparsity",
    "max_approximation_error",
    "max_approximation_error_of_reconstruction",
)
Row = dict[str, Cell]
SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C, where it is built, takes a tenth of the time


class Summary(Callback):
    """Ends a multirun with ``sweep.csv``, a row a job, the same as a printed table, and panels where two numbers vary.

    So it ends by itself, with exit status 1 if a job failed; stopped on its way, it says how far it has come.

    Args:
        published: whether the published figures of each model, where there are some, are put beside ours.
        front: whether the Pareto front of reconstruction and max-approximation error on validation images is drawn.
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
        others: dict[str, Row] = {}
        for sweep in map(Path, self.beside):
            runs = [row for row in read_sweep(sweep) if row["status"] == "finished" and f"val/{ERRORS[0]}" in row]
            others |= {str(row["folder"]).partition("__")[0]: row for row in runs}
            if not runs:
                print(f"{sweep} has no finished runs to be put beside the front.")
        figures.save(front_figure(rows, others), folder / "front")
        keys = [f"val/{name}" for name in SHOWN[:3]]
        shown = _telling(
            [{key: row[key] for key in row if key in keys or not _is_detail(key)} for row in front_of(rows)]
        )
        print(f"On the front, on validation images:\n\n{table(shown)}\n\nDrawn in {folder / 'front.pdf'}")

    def _stop(self, folder: Path) -> None:
        """What a sweep says that did not come to its end."""
        self._print(folder)
        again = [*sys.argv, f"hydra.sweep.dir={folder}"]
        print("Stopped before its end. Go on, without what is finished, with\n")
        print(f"  python {shlex.join(dict.fromkeys(again))}\n", flush=True)

    def _print(self, folder: Path) -> list[Row]:
        """Write and print the table of a sweep, and what failed in it."""
        rows = write_sweep(folder)
        if rows:
            print(f"\n{table(_telling([self._shown(folder, row) for row in rows]))}\n")
        if self.published:
            print("Test images; in brackets the published figures.")
        if failed := [row for row in rows if row["status"] == "failed"]:
            print(f"{len(failed)} of {len(rows)} jobs failed:")
            settings = _telling([{key: row[key] for key in row if not _is_detail(key)} for row in rows])
            for row, setting in zip(rows, settings, strict=True):
                if row in failed:
                    told = " ".join(f"{key}={value}" for key, value in setting.items())
                    print(f"  {told}: {failure(folder / str(row['folder']))}")
        print(f"Written to {folder / 'sweep.csv'}", flush=True)
        return rows

    def _shown(self, folder: Path, row: Row) -> Row:
        """What the printed table has of a row; ``ours (published)`` where both are known."""
        shown = {_short(key): value for key, value in row.items() if not _is_detail(key)} | {"status": row["status"]}
        known = {}
        if self.published:
            known = published_measures(_yaml(folder / str(row["folder"]) / ".hydra" / "config.yaml"))
        for name in SHOWN:
            if name == "svm_accuracy" and f"test/{name}" not in row:
                continue
            value = row.get(f"test/{name}", "")
            shown[name] = f"{number(float(value))} ({known[name]:g})" if value != "" and name in known else value
        return shown


def read_sweep(folder: Path) -> list[Row]:
    """A row for each job in a sweep's folder, in their order: overrides, seed, measures, wall time, status, folder."""
    rows: list[tuple[int, Row]] = []
    for file in folder.glob("*/.hydra/hydra.yaml"):
        run = file.parent.parent
        hydra = _yaml(file)["hydra"]
        if hydra["mode"] != "MULTIRUN":
            continue  # a run of the same name, beside the sweep
        row: Row = {key: value for key, _, value in (override.partition("=") for override in overrides(run))}
        row.setdefault("seed", str(_yaml(file.with_name("config.yaml")).get("seed", "")))
        if is_finished(run):
            row |= measures_of(run)
        row |= {"status": status(run), "folder": run.name}
        rows.append((int(hydra["job"]["num"]), row))
    return [row for _, row in sorted(rows, key=lambda item: (item[0], str(item[1]["folder"])))]


def write_sweep(folder: Path) -> list[Row]:
    """Write ``sweep.csv`` as far as the sweep in ``folder`` has come; its rows."""
    rows = read_sweep(folder)
    write_csv(folder / "sweep.csv", rows)
    return rows


def overrides(run: Path) -> list[str]:
    """What a job was given, as on the command line."""
    return list(_yaml(run / ".hydra" / "overrides.yaml"))


def any_failed(folder: Path) -> bool:
    """Whether a job of the sweep in ``folder`` has failed since the sweep was started."""
    return any(folder.glob("*/error.txt"))


def _yaml(file: Path) -> Any:
    return yaml.load(file.read_text(), SafeLoader)  # noqa: S506


def job_folder(overrides: str) -> str:
    """A job's folder, from its overrides: one level deep, and a word that Hydra's command line takes as it is.

    Overrides that such a word cannot hold end with a checksum, so that no two of them share a folder.

    >>> job_folder("experiment/table_1@_global_-none__sparsity.beta-0.1")
    'table_1-none__sparsity.beta-0.1'
    >>> job_folder("data.source.root-/data")
    'data.source.root-_data-4e63c28e'
    """
    short = re.sub(r"(^|__)(?:\w+/)*(\w+)@\w+-", r"\1\2-", overrides)
    word = re.sub(r"[^\w.+-]", "_", short)[:200]
    return (word or "job") if word == short else f"{word}-{zlib.crc32(short.encode()):08x}"


def sweep_folder(name: str, now: str) -> str:
    """The folder of a sweep: of its name if it has one, so that the same command finds it again; else a new one.

    >>> sweep_folder("figure_8", "2024-05-01_12-00-00")
    'outputs/figure_8'
    """
    return new_folder(name, now) if name == "default" else f"outputs/{name}"


def new_folder(name: str, now: str) -> str:
    """A folder that nobody has, made at once: two commands of the same second get two."""
    first = Path("outputs", name, now)
    folder = first
    for count in itertools.count(2):
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            folder = first.with_name(f"{now}_{count}")
    return str(folder)


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
    if len(varied[series]) == len(finished):
        return None  # a search, which meets no value twice: a curve would be a point
    panels = {}
    for name in PANELS:
        curves = {}
        for value in sorted(varied[series], key=float):
            points = sorted((float(row[x]), float(row[f"test/{name}"])) for row in finished if row[series] == value)
            curves[value] = (np.array([at for at, _ in points]), np.array([measure for _, measure in points]))
        panels[name] = curves
    return figures.sweep_panels(panels, x, series)


def _telling(rows: list[Row]) -> list[Row]:
    """The rows without what all of them were given alike, unless that leaves nothing to tell them by."""
    first = rows[0]
    alike = {
        key for key, value in first.items() if isinstance(value, str) and all(row.get(key) == value for row in rows)
    }
    return (
        [{key: value for key, value in row.items() if key not in alike - {"status"}} for row in rows]
        if rows[1:]
        else rows
    )


def _is_detail(key: str) -> bool:
    """Whether a column is in the file only, not in the printed table."""
    return key.startswith(("test/", "val/")) or key in ("folder", "status", "wall_time", "experiment", "name")


def _short(key: str) -> str:
    """A column's heading: a group without the folder that it lies in and the package that it fills."""
    return key.rpartition("/")[2].partition("@")[0]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
