"""The page of a sweep's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from partae.checks import InputError
from partae.files import write_bytes
from partae.report import Cell, sweep_page
from partae.run.command_line import evaluate_line
from partae.saving.loading import load

PAGE = "sweep.html"
REPORT = Path("evaluation") / "report.html"  # of a run, in its folder


def write_page(
    folder: Path,
    rows: Sequence[Mapping[str, Cell]],
    figures: Mapping[str, Path] | None = None,
    l0_threshold: float = 0.0,
) -> Path:
    """Write the `PAGE` of the runs in ``folder``, ``rows`` as `read_sweep` gives them; its path.

    Args:
        folder: of the sweep; its runs' own reports are linked where they are.
        rows: a run each.
        figures: caption -> PNG file.
        l0_threshold: that ``l0`` was measured with.
    """
    reports, atoms, evaluate = {}, {}, {}
    for run in (str(row["folder"]) for row in rows):
        evaluate[run] = evaluate_line(folder / run)
        if (folder / run / REPORT).exists():
            reports[run] = f"{run}/{REPORT.as_posix()}"
        with suppress(InputError):  # an unfinished run may have no checkpoint yet
            atoms[run] = load(folder / run).atoms.numpy()
    page = folder / PAGE
    html = sweep_page(folder.name, rows, atoms, reports, evaluate, figures or {}, l0_threshold)
    write_bytes(page, html.encode())
    return page
