"""Panels of a sweep's measures against what was varied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from partae import figures
from partae.report import describe
from partae.sweep.rows import Row, is_detail, is_number
from partae.sweep.seeds import DEVIATION, over_seeds

PANELS = (
    "reconstruction_error",
    "hoyer_sparsity",
    "max_approximation_error",
    "max_approximation_error_of_reconstruction",
    "max_approximation_error_clipped",
    "max_approximation_error_calibrated",
)


def panels_figure(rows: Sequence[Row]) -> Figure | None:
    """Measures against a number, where one or two settings vary: a curve for each value of the other setting.

    Runs that differ in their seed only are one point, the mean, with a band of a standard deviation on both sides.
    Measures that are the same everywhere are left out.

    Args:
        rows: a run each, as `read_sweep` gives them.
    """
    points = over_seeds([row for row in rows if row["status"] == "finished"])
    keys = dict.fromkeys(key for row in points for key in row if not is_detail(key) and key != "seeds")
    values = {key: {str(row.get(key, "")) for row in points} for key in keys}
    varied = sorted((key for key in keys if len(values[key]) > 1), key=lambda key: -len(values[key]))
    numbers = [key for key in varied if all(map(is_number, values[key]))]
    if not numbers or len(varied) > 2:
        return None
    x = numbers[0]
    series = next((key for key in varied if key != x), "")
    if series and len(values[series]) == len(points):
        return None  # a search meets no value twice: each curve would be a point
    panels = {}
    for name in (f"test/{each}" for each in PANELS):
        if all(name in row for row in points) and len({row[name] for row in points}) > 1:
            curves = {}
            for label in sorted(values[series], key=_by_number) if series else [""]:
                own = [row for row in points if str(row.get(series, "")) == label]
                columns = [x, name] + [name + DEVIATION] * any(name + DEVIATION in row for row in own)
                curve = sorted(tuple(float(row.get(column, 0)) for column in columns) for row in own)
                curves["not given" if series and not label else label] = tuple(np.array(curve).T)
            panels[describe(name.removeprefix("test/")).label] = curves
    return figures.sweep_panels(panels, x, series) if panels else None


def _by_number(value: str) -> tuple[float, str]:
    return float(value) if is_number(value) else 0.0, value
