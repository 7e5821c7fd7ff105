"""Random command lines, typed as a user types them: a few with the slow tests, many with ``make soak``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings

from tests.command_line import type_in
from tests.configurations import arguments, invalid, valid

soaked = settings(
    max_examples=int(os.environ.get("SOAK", "20")),
    derandomize="SOAK" not in os.environ,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@soaked
@given(valid())
def test_a_valid_command_line_trains(line: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        outcome = type_in("train.py", [*arguments(line), "hydra.run.dir=run"], Path(folder))
        assert outcome.status == 0, outcome.err
        assert json.loads((Path(folder) / "run" / "metrics.json").read_text())


@soaked
@given(invalid())
def test_an_invalid_command_line_is_refused_with_one_message(case: tuple[list[str], str]) -> None:
    line, word = case
    with TemporaryDirectory() as folder:
        outcome = type_in("train.py", ["hydra.run.dir=run", *line], Path(folder))
        assert outcome.status
        assert "Traceback" not in outcome.err
        # Hydra repeats the command line before the message
        said = [text for text in outcome.err.splitlines() if not text.startswith("Error executing job with overrides")]
        assert word in "\n".join(said)
        # a metric that no callback logs is known at the end only, and the measures are kept
        assert word == "metric" or not (Path(folder) / "run" / "metrics.json").exists()
