"""The package as `pip install .` makes it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from setuptools import find_namespace_packages, find_packages

ROOT = Path(__file__).parent.parent


def test_every_package_is_in_the_wheel() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = find_packages(str(ROOT), include=["partae", "partae.*"])
    found += find_namespace_packages(str(ROOT), include=["hydra_plugins"])
    assert sorted(listed) == sorted([*found, "partae.commands"])


@pytest.mark.slow
def test_the_wheel_trains_and_evaluates_from_any_folder(tmp_path: Path) -> None:
    source, site, elsewhere = (tmp_path / name for name in ("source", "site", "elsewhere"))
    elsewhere.mkdir()
    # a build leaves files in its source
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())

    def run(*command: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(site)}
        done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-index", "--no-build-isolation", "--no-deps", "--wheel-dir", str(tmp_path), str(source))
    (wheel,) = tmp_path.glob("*.whl")
    run(*pip, "install", "--no-index", "--no-deps", "--target", str(site), str(wheel))

    assert run(sys.executable, "-c", "import partae; print(partae.__file__)").startswith(str(site))
    brief = ["data=bars", "latent_dim=4", "trainer.max_epochs=1", "+trainer.limit_train_batches=1", "quiet=true"]
    said = run(str(site / "bin" / "partae-train"), *brief, "hydra.run.dir=run", "trainer.accelerator=cpu")
    assert "partae-evaluate ckpt=run\n" in said
    assert (elsewhere / "run" / "metrics.json").exists()
    run(str(site / "bin" / "partae-evaluate"), "ckpt=run")
    assert (elsewhere / "run" / "evaluation" / "report.html").exists()
