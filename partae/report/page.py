"""Templates filled: HTML with everything that it needs inside."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from partae.report.tables import number
from partae.report.wording import measure_wording

# what one asks of a model first, in this order
FIRST = (
    "reconstruction_error",
    "hoyer_sparsity",
    "max_approximation_error",
    "max_approximation_error_clipped",
    "max_approximation_error_calibrated",
    "image_error",
    "operated_reconstruction_error",
    "svm_accuracy",
)
FILES = files("partae.report") / "templates"
TEMPLATES = Environment(loader=FunctionLoader(lambda name: _source(name)), autoescape=True, undefined=StrictUndefined)
TEMPLATES.trim_blocks = TEMPLATES.lstrip_blocks = True


def render(template: str, **values: Any) -> str:
    """The page that ``template`` makes of ``values``; ``data`` among them goes to its script."""
    # "<" never stands in JSON outside of a string: the page's parser must not find the end of the script in one
    data = json.dumps(values.pop("data"), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return TEMPLATES.get_template(template).render(**values, data=Markup(data), source=_source)  # noqa: S704


def measure_rows(
    measures: Mapping[str, float], published: Mapping[str, float], l0_threshold: float = 0.0
) -> list[dict[str, Any]]:
    """A row for each test measure: its words, its value and the published one, "" where there is none."""
    rows = []
    for key, value in measures.items():
        split, _, name = key.partition("/")
        if split != "test":
            continue
        words = measure_wording(name, [measures], l0_threshold)
        known = published.get(name)
        rows.append(
            {
                **words._asdict(),
                "name": name,
                "first": name in FIRST,
                "value": shown(value),
                "published": "" if known is None else f"{known:g}",
            }
        )
    return sorted(rows, key=lambda row: FIRST.index(row["name"]) if row["first"] else len(FIRST))


def shown(value: float) -> str:
    """A number as `number` gives it, or the word for one that is not finite."""
    return number(value) if math.isfinite(value) else str(value)


def _source(name: str) -> Markup:
    """A style sheet or script beside the templates, as it is."""
    return Markup((FILES / name).read_text(encoding="utf-8"))  # noqa: S704
