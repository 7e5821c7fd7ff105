"""The page of a sweep: curves, a table to sort, and each run one click away."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from partae.figures import Array, scaled_each
from partae.report.page import FIRST, render
from partae.report.pictures import picture, sheet, tile_bytes
from partae.report.tables import Cell
from partae.report.wording import measure_wording, verdicts_of_runs

BYTES = 2_400_000  # of all atoms on the page at most, before compression, so that it stays small
DETAILS = ("status", "folder", "wall_time", "experiment", "name")


def sweep_page(
    title: str,
    rows: Sequence[Mapping[str, Cell]],
    atoms: Mapping[str, Array],
    reports: Mapping[str, str],
    evaluate: Mapping[str, str],
    figures: Mapping[str, Path],
    l0_threshold: float = 0.0,
) -> str:
    """The page as HTML that needs nothing beside itself.

    Args:
        title: what the sweep is called.
        rows: a run each: its overrides, its measures as in metrics.json, ``status`` and ``folder``.
        atoms: folder -> atoms (K, C, H, W) of the run there, where it has any.
        reports: folder -> where the report of the run lies, from the page's own place, where there is one.
        evaluate: folder -> what a user types to evaluate the run in it.
        figures: caption -> PNG file.
        l0_threshold: that ``l0`` was measured with.
    """
    own = dict.fromkeys(key for row in rows for key in row)
    keys = [key for key in own if not key.startswith(("test/", "val/")) and key not in DETAILS]
    tested = [key.removeprefix("test/") for key in own if key.startswith("test/")]
    names = sorted(tested, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    varied = [key for key in keys if len({row.get(key) for row in rows}) > 1]
    words = {name: measure_wording(name, rows, l0_threshold) for name in names}
    kept = max(1, BYTES // max(1, sum(tile_bytes(found) for found in atoms.values())))
    data = {
        "keys": {key: key.rpartition("/")[2].partition("@")[0] for key in varied or keys},
        "measures": {name: each._asdict() for name, each in words.items()},
        "runs": [
            {
                "folder": row["folder"],
                "evaluate": evaluate[str(row["folder"])],
                "status": row["status"],
                "values": {key: row.get(key, "") for key in keys},
                "measures": {name: _finite(row.get(f"test/{name}")) for name in names},
                "report": reports.get(str(row["folder"])),
                "atoms": _sheet(atoms.get(str(row["folder"])), kept),
            }
            for row in rows
        ],
    }
    return render(
        "sweep.html",
        title=title,
        count=len(rows),
        unfinished=sum(row["status"] != "finished" for row in rows),
        words=words,
        verdicts=verdicts_of_runs([row for row in rows if row["status"] == "finished"]),
        figures={caption: picture(file) for caption, file in figures.items()},
        data=data,
    )


def _sheet(atoms: Array | None, kept: int) -> dict[str, Any] | None:
    if atoms is None:
        return None
    return {"total": len(atoms), "count": min(kept, len(atoms)), "sheet": sheet(scaled_each(atoms[:kept]))}


def _finite(value: Cell | None) -> float | None:
    """A number that JSON has a word for, or None."""
    return None if value is None or value == "" or not math.isfinite(float(value)) else float(value)
