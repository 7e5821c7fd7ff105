"""The page of a sweep: curves, a table to sort, and each run one click away."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from partae.figures import Array, scaled_each
from partae.files import write_bytes
from partae.report import Cell, collapse, describe, verdicts_of_runs
from partae.report.page import in_order, render
from partae.report.pictures import picture, sheet, tile_bytes
from partae.run.hints import evaluate_line
from partae.run.provenance import provenance_of_run, provenance_of_sweep
from partae.sweep.rows import failures, is_detail, short

PAGE = "sweep.html"
REPORT = Path("evaluation") / "report.html"  # of a run, in its folder
BYTES = 2_400_000  # of all atoms on the page, at most, before compression


def write_page(
    folder: Path,
    rows: Sequence[Mapping[str, Cell]],
    atoms: Mapping[str, Array],
    figures: Mapping[str, Path] | None = None,
    l0_threshold: float = 0.0,
) -> Path:
    """Write the `PAGE` of a sweep's folder and return its path.

    Args:
        folder: of the sweep; the page links to the reports of its runs, where they exist.
        rows: a run each, as `read_sweep` gives them.
        atoms: (K, C, H, W) of each run, by its folder's name, where they are known.
        figures: caption -> PNG file.
        l0_threshold: the threshold that ``l0`` was measured with.
    """
    columns = dict.fromkeys(key for row in rows for key in row)
    keys = [key for key in columns if not is_detail(key)]
    varied = [key for key in keys if len({row.get(key) for row in rows}) > 1]
    names = in_order(key.removeprefix("test/") for key in columns if key.startswith("test/"))
    meanings = {name: describe(name, rows, l0_threshold) for name in names}
    count = max(1, BYTES // max(1, sum(map(tile_bytes, atoms.values()))))
    provenance = [provenance_of_run(folder / str(row["folder"])) for row in rows]
    runs = []
    for row, trained in zip(rows, provenance, strict=True):
        run = str(row["folder"])
        found = {
            "folder": run,
            "status": f"{row['status']}{', collapsed' if collapse(row) else ''}",
            "values": {key: row.get(key, "") for key in keys},
            "measures": {name: _finite(row.get(f"test/{name}")) for name in names},
            "atoms": _sheet(atoms.get(run), count),
            "report": f"{run}/{REPORT.as_posix()}" if (folder / run / REPORT).exists() else None,
            "evaluate": evaluate_line(folder / run),
            "command": trained.get("Command"),
        }
        runs.append(found)
    page = render(
        "sweep.html",
        title=folder.name,
        count=len(rows),
        provenance=provenance_of_sweep(folder, provenance),
        unfinished=sum(row["status"] == "unfinished" for row in rows),
        failed=failures(folder, [dict(row) for row in rows]),
        words=list(meanings.values()),
        verdicts=verdicts_of_runs([row for row in rows if row["status"] == "finished"]),
        figures={caption: picture(file) for caption, file in (figures or {}).items()},
        data={
            "keys": {key: short(key) for key in varied or keys},
            "measures": {name: {"label": meaning.label} for name, meaning in meanings.items()},
            "runs": runs,
        },
    )
    write_bytes(folder / PAGE, page.encode())
    return folder / PAGE


def _sheet(atoms: Array | None, count: int) -> dict[str, Any] | None:
    """The first ``count`` atoms in one picture."""
    if atoms is None:
        return None
    height, width = atoms.shape[2:]
    shown = min(count, len(atoms))
    return {"total": len(atoms), "count": shown, "ratio": width / height, "sheet": sheet(scaled_each(atoms[:shown]))}


def _finite(value: Cell | None) -> float | None:
    """A number that JSON can hold, or None."""
    return None if value in (None, "") or not math.isfinite(float(value)) else float(value)
