"""Tables, verdicts and pages from measures and figures."""

from partae.report.drawings import Portrait, draw
from partae.report.run_page import render_run
from partae.report.tables import Cell, number, table
from partae.report.wording import collapse, describe, verdicts, verdicts_of_runs

__all__ = [
    "Cell",
    "Portrait",
    "collapse",
    "describe",
    "draw",
    "number",
    "render_run",
    "table",
    "verdicts",
    "verdicts_of_runs",
]
