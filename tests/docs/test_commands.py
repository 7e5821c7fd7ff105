"""The other commands of README and docs/ run."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.command_line import type_in
from tests.docs.shown import ROOT, blocks, in_a_process, of, shown, typed


def test_commands_are_found_in_every_shape() -> None:
    assert {"make train", "python train.py -m experiment=table_1", "python docs/figures.py"} <= set(shown())
    assert len(of("python train.py")) > 5
    assert len(of("python evaluate.py")) > 2
    scripts = ("train.py", "evaluate.py", "docs/", "benchmarks/", "examples/")
    known = tuple(f"python {script}" for script in scripts)
    others = ("make ", "tensorboard ", "source .venv/bin/activate", "pip install ", "git ", "eval ")
    assert not [command for command in shown() if not command.startswith((*known, *others))]


@pytest.mark.slow
@pytest.mark.parametrize("command", of("python evaluate.py"))
def test_an_evaluation_command_evaluates(command: str, trained: tuple[Path, Path], tmp_path: Path) -> None:
    # the test's own run stands for the run that the command names
    ckpt = re.sub(r"ckpt=outputs/\S+", "ckpt=<run folder>", command)
    arguments = [argument for argument in typed(ckpt, *trained) if not argument.startswith("data")]
    outcome = type_in("evaluate.py", [*arguments, "data=bars"], tmp_path)
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize("command", of("make "))
def test_make_knows_the_target(command: str) -> None:
    in_a_process([*shlex.split(command), "--dry-run"], ROOT)


@pytest.mark.parametrize("command", of("pip install "))
def test_an_installation_names_extras_that_exist(command: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"\[(.*)\]", command)) <= set(extras)  # pip only warns of others


BRIEF: dict[str, dict[str, Any]] = {
    "epoch": {"EPOCHS": 1, "ROUNDS": 1},
    "host": {"STEPS": 20, "TURNS": 1},
    "stack": {"COUNTS": (1, 2), "TURNS": 1, "STEPS": 2},
    "projection": {"VECTORS": 200},
    "approximation": {"ROUNDS": 1, "RADII": (1,)},
    "streaming": {"TIMES": 1},
    "l0": {"L0": 2, "DATA": ["data=bars"]},
    "replicates": {"IMAGES": 50, "STARTS": 2, "KINDS": [(3, None)], "MAX_ITER": 5},
    "operators": {"COUNTS": {12: 5}, "RADII": (1, 2), "SCALES": (1, 2), "SECONDS": 0.0},
    "granulometry": {"RADII": (0, 1, 2), "DATA": ["data=bars"]},
}


@pytest.mark.slow
@pytest.mark.parametrize("command", of("python benchmarks/"))
def test_a_benchmark_prints_figures(command: str, trained: tuple[Path, Path], tmp_path: Path) -> None:
    name, arguments = command.split()[1], typed(command, *trained)
    script = ROOT / name
    if "import cv2" in script.read_text():
        pytest.importorskip("cv2", reason="no OpenCV (pip install '.[benchmarks]')")
    arguments = [re.sub("models=.*", "models=2", argument) for argument in arguments]
    if not torch.cuda.is_available():
        arguments = [argument for argument in arguments if argument != "trainer.accelerator=gpu"]
    arguments += ["--batches", "30"] if script.stem == "streaming" else []
    brief = BRIEF[script.stem]
    briefly = (
        f"import runpy, sys; sys.path.insert(0, {str(script.parent)!r}); sys.argv = {[name, *arguments]}; "
        f"names = (main := runpy.run_path({str(script)!r})['main']).__globals__; "
        f"assert {set(brief)} <= names.keys(); names.update({brief}); main()"
    )
    printed = in_a_process([sys.executable, "-c", briefly], tmp_path)
    assert re.search(r"\d\.\d\d", printed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [file.relative_to(ROOT) for folder in ("benchmarks", "docs") for file in sorted((ROOT / folder).glob("[!c]*.py"))],
    ids=str,
)
def test_help_says_what_a_script_does_and_does_nothing(script: Path, tmp_path: Path) -> None:
    if script.stem == "operators":
        pytest.importorskip("cv2", reason="no OpenCV (pip install '.[benchmarks]')")
    printed = in_a_process([sys.executable, str(ROOT / script), "--help"], tmp_path)
    assert f"python {script}" in printed or f"usage: {script.name}" in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_checks_of_a_gpu_run_without_one(tmp_path: Path) -> None:
    script, file = ROOT / "benchmarks" / "gpu.py", tmp_path / "gpu.json"
    trial = ["--accelerator", "cpu", "--size", "tiny", "--minutes", "30", "--result", str(file)]
    done = subprocess.run([sys.executable, str(script), *trial], cwd=tmp_path, check=False)
    report = json.loads(file.read_text())
    assert report["ok"], report
    assert done.returncode == 0
    assert list(report["checks"]) == list(runpy.run_path(str(script))["CHECKS"])
    assert all(len(found) > 2 for found in report["checks"].values())  # more than ok and seconds


@pytest.mark.slow
def test_the_commands_of_the_page_on_data_run(tmp_path: Path, images_of_odd_sizes: Path, some_arrays: Path) -> None:
    images_of_odd_sizes.rename(tmp_path / "photos")
    joined = [block.replace("\\\n", " ") for block in blocks(ROOT / "docs" / "data.md", "sh")]
    lines = [line for block in joined for line in block.splitlines()]
    lines = [line for line in lines if not re.search("mnist|torchvision", line)]  # these have to be downloaded
    assert len(lines) >= 6
    for number, line in enumerate(lines):
        _, script, *overrides = shlex.split(line.replace("<run folder>", "run"))
        if script == "train.py":
            run = "run" if "data.source.root=outputs/digits.npz" in overrides else f"other_{number}"
            overrides += ["trainer.max_epochs=1", f"hydra.run.dir={run}"]
        in_a_process([sys.executable, str(ROOT / script), *overrides], tmp_path)
    assert (tmp_path / "run" / "evaluation" / "metrics.json").exists()
