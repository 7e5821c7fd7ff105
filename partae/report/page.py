"""Pages from templates; each page is one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from partae.report.tables import number
from partae.report.wording import describe

# the measures that come first, in this order
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
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}


def render(template: str, **values: Any) -> str:
    """Fill a template with values. The page's script reads the value ``data`` as JSON."""
    return TEMPLATES.get_template(template).render(values)


def measure_rows(
    measures: Mapping[str, float], published: Mapping[str, float], l0_threshold: float = 0.0
) -> list[dict[str, Any]]:
    """A row for each test measure: its words, its value and the published one, "" if there is none."""
    tested = {key.removeprefix("test/"): value for key, value in measures.items() if key.startswith("test/")}
    return [
        {
            **describe(name, [measures], l0_threshold)._asdict(),
            "name": name,
            "first": name in FIRST,
            "value": number(tested[name]),
            "published": f"{published[name]:g}" if name in published else "",
        }
        for name in in_order(tested)
    ]


def in_order(names: Iterable[str]) -> list[str]:
    """The names of measures with those of `FIRST` in front."""
    return sorted(names, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
