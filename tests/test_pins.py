"""constraints.txt pins every dependency, above the versions that SECURITY.md lists as faulty."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
LINES = (ROOT / "constraints.txt").read_text().splitlines()
PINS = {canonicalize_name(name): Version(version) for name, _, version in (line.partition("==") for line in LINES)}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ASKED = [*PROJECT["dependencies"], *(item for extra in PROJECT["optional-dependencies"].values() for item in extra)]
FAULTS = re.findall(r"^\| (\S+) \| CVE.* \| ([\d.]+) \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("asked", sorted({text for text in ASKED if not text.startswith("partae")}))
def test_what_is_asked_for_is_pinned_and_fits(asked: str) -> None:
    requirement = Requirement(asked)
    assert PINS[canonicalize_name(requirement.name)] in requirement.specifier


def test_every_line_is_an_exact_pin_in_order() -> None:
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!]+", line) for line in LINES)
    assert sorted(LINES, key=str.lower) == LINES
    assert len(PINS) == len(LINES)


def test_faults_are_found() -> None:
    assert len(FAULTS) > 10


@pytest.mark.parametrize(("name", "safe"), FAULTS)
def test_pins_are_above_known_faults(name: str, safe: str) -> None:
    assert PINS[canonicalize_name(name)] >= Version(safe)


def test_pins_are_taken_from_what_pip_resolves() -> None:
    pins = runpy.run_path(str(ROOT / ".ci" / "pins"))["pins"]
    report = {"install": [{"metadata": {"name": name, "version": "1.0"}} for name in ("torch", "partae", "Jinja2")]}
    assert pins(report) == ["Jinja2==1.0", "torch==1.0"]
