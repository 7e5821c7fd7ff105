"""The results of a sweep in one table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from partae.files import write_bytes
from partae.report import Cell, table

SHOWN = ("reconstruction_error", "hoyer_sparsity", "max_approximation_error", "dead_atoms")


class Summary(Callback):
    """Ends a multirun with ``sweep.csv``, a row a job, and the same as a printed table."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        rows = read_sweep(folder)
        write_csv(folder / "sweep.csv", rows)
        measures = {f"test/{name}": name for name in SHOWN}
        shown = [
            {measures.get(key, key): value for key, value in row.items() if key in measures or not _is_detail(key)}
            for row in rows
        ]
        print(f"\n{table(shown)}\n\nWritten to {folder / 'sweep.csv'}")


def read_sweep(folder: Path) -> list[dict[str, Cell]]:
    """A row for each job in a sweep's folder, in the order of the jobs: overrides, measures, status, folder."""
    rows: list[tuple[int, dict[str, Cell]]] = []
    for file in folder.glob("*/.hydra/hydra.yaml"):
        run = file.parent.parent
        hydra = OmegaConf.load(file).hydra
        row: dict[str, Cell] = dict(override.split("=", 1) for override in hydra.overrides.task)
        finished = run / "metrics.json"
        if finished.exists():
            row |= json.loads(finished.read_text())
        row |= {"status": "finished" if finished.exists() else "unfinished", "folder": run.name}
        rows.append((int(hydra.job.num), row))
    return [row for _, row in sorted(rows, key=lambda item: item[0])]


def write_csv(path: Path, rows: list[dict[str, Cell]]) -> None:
    """Write ``rows`` to ``path``, a column for each key that any row has; whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def _is_detail(key: str) -> bool:
    """Whether a column is in the file only, not in the printed table."""
    return key.startswith(("test/", "val/")) or key == "folder"
