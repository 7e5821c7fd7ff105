"""What a run says of itself: tables of measures, and pages that open in a browser without a network."""

from partae.report.comparison import sweep_page
from partae.report.drawings import drawings
from partae.report.run_page import run_page
from partae.report.tables import Cell, number, table
from partae.report.wording import Wording, verdicts, verdicts_of_runs, wording

__all__ = [
    "Cell",
    "Wording",
    "drawings",
    "number",
    "run_page",
    "sweep_page",
    "table",
    "verdicts",
    "verdicts_of_runs",
    "wording",
]
