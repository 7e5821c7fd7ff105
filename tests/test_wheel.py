"""The package as `pip install .` makes it."""

from __future__ import annotations

import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest
from setuptools import find_namespace_packages, find_packages

from tests.docs.shown import ROOT, in_a_process


def test_every_package_is_in_the_wheel() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = find_packages(str(ROOT), include=["partae", "partae.*"])
    found += find_namespace_packages(str(ROOT), include=["hydra_plugins"])
    assert sorted(listed) == sorted([*found, "partae.commands"])


def install(folder: Path) -> Path:
    """The folder of a wheel's packages, built and installed in ``folder``."""
    source, site = folder / "source", folder / "site"
    # a build leaves files in its source
    for name in filter(None, in_a_process(["git", "ls-files", "-z"], ROOT).split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps"]
    run = partial(in_a_process, folder=folder, PYTHONPATH=str(site))
    run([*pip, "wheel", *offline, "--no-build-isolation", str(source)])
    (wheel,) = folder.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    run([*pip, "install", *offline, "--target", str(site), str(wheel)])
    return site


@pytest.mark.slow
def test_the_wheel_trains_and_evaluates_from_any_folder(tmp_path: Path) -> None:
    site, elsewhere = install(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    run = partial(in_a_process, folder=elsewhere, PYTHONPATH=str(site))
    assert run([sys.executable, "-c", "import partae; print(partae.__file__)"]).startswith(str(site))
    brief = ["data=bars", "latent_dim=4", "trainer.max_epochs=1", "+trainer.limit_train_batches=1", "quiet=true"]
    said = run([str(site / "bin" / "partae-train"), *brief, "hydra.run.dir=run", "trainer.accelerator=cpu"])
    assert "partae-evaluate ckpt=run\n" in said
    assert (elsewhere / "run" / "metrics.json").exists()
    run([str(site / "bin" / "partae-evaluate"), "ckpt=run"])
    assert (elsewhere / "run" / "evaluation" / "report.html").exists()
