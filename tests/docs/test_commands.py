"""What else README and docs/ show to be typed is run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.command_line import type_in
from tests.docs.shown import ROOT, SHORT, blocks, in_a_process, of, shown, typed


def test_commands_are_found_in_every_shape() -> None:
    assert {"make train", "python train.py -m experiment=table_1", "python docs/figures.py"} <= set(shown())
    assert {command.split()[2] for command in of("python -m tests.")} == {"tests.soak", "tests.mutation"}
    assert len(of("python train.py")) > 5
    assert len(of("python evaluate.py")) > 2
    scripts = ("train.py", "evaluate.py", "docs/", "benchmarks/", "examples/", "-m tests.")
    known = tuple(f"python {script}" for script in scripts)
    others = ("make ", "tensorboard ", "source .venv/bin/activate", "pip install ", "git ", "eval ")
    assert not [command for command in shown() if not command.startswith((*known, *others))]


@pytest.mark.slow
@pytest.mark.parametrize("command", of("python evaluate.py"))
def test_what_is_typed_to_evaluate_evaluates(command: str, trained: tuple[Path, Path], tmp_path: Path) -> None:
    # a folder with a name of its own stands for any run
    ckpt = re.sub(r"ckpt=outputs/\S+", "ckpt=<run folder>", command)
    arguments = [argument for argument in typed(ckpt, *trained) if not argument.startswith("data")]
    outcome = type_in("evaluate.py", [*arguments, "data=bars"], tmp_path)
    assert outcome.status == 0, outcome.err


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="no virtual environment")
@pytest.mark.parametrize("command", of("source "))
def test_what_is_typed_to_activate_makes_python_that_of_the_environment(command: str, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    python = in_a_process(["bash", "-e", "-c", f"{command}\ncommand -v python"], tmp_path)
    assert Path(python.strip()) == Path(sys.prefix, "bin", "python")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("command", of("eval"))
def test_tab_completes_in_bash(command: str) -> None:
    words = "python train.py sparsity="
    press = f'COMP_LINE="{words}" COMP_POINT={len(words)}; COMP_WORDS=({words}); COMP_CWORD=2; hydra_bash_completion'
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    line = ["bash", "-c", f'{command}\n{press}\nprintf "%s\\n" "${{COMPREPLY[@]}}"']
    assert set(in_a_process(line, ROOT, PATH=path).split()) == {
        f"sparsity={file.stem}" for file in (ROOT / "conf" / "sparsity").glob("*.yaml")
    }


@pytest.mark.slow
@pytest.mark.parametrize("command", of("tensorboard"))
def test_what_is_typed_to_look_finds_events(command: str, trained: tuple[Path, Path]) -> None:
    options = [str(trained[0]) if option == "outputs" else option for option in shlex.split(command)[1:]]
    inspect = [sys.executable, "-W", "ignore", "-m", "tensorboard.main", "--inspect", *options]
    assert "val/loss" in in_a_process(inspect, ROOT)


BRIEFLY = {  # what a command that takes long is given besides
    "train": SHORT,
    "soak": ["--valid=3", "--invalid=3", "--seed=1"],
    "mutation": ["--most=2", "--modules", "metrics.parts"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", of("python -m tests."))
def test_the_checks_that_take_long_run(command: str) -> None:
    _, *arguments = shlex.split(command)
    more = BRIEFLY[arguments[1].removeprefix("tests.")]
    in_a_process([sys.executable, *arguments, *more], ROOT)


@pytest.mark.parametrize("command", of("make "))
def test_what_is_typed_to_make_can_be_made(command: str) -> None:
    in_a_process([*shlex.split(command), "--dry-run"], ROOT)


OTHERS = {".venv", ".git", "data", "outputs"}  # folders that are no part of the project


def copied(folder: Path) -> Path:
    return shutil.copytree(ROOT, folder, ignore=lambda inside, _: OTHERS if Path(inside) == ROOT else ())


@pytest.mark.slow
@pytest.mark.parametrize("command", of("make "))
def test_what_is_typed_to_make_is_made(command: str, tmp_path: Path) -> None:
    _, target = shlex.split(command)
    here = copied(tmp_path / "partae")
    tools = here / ".venv" / "bin"
    tools.mkdir(parents=True)
    for tool in Path(sys.executable).parent.iterdir():
        (tools / tool.name).symlink_to(tool)
    (tools / "python").unlink()
    (tools / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@" {shlex.join(BRIEFLY.get(target, []))}\n')
    (tools / "python").chmod(0o755)
    (here / ".venv" / "installed").touch()
    collecting = {} if target in BRIEFLY else {"PYTEST_ADDOPTS": "--collect-only"}
    printed = in_a_process(shlex.split(command), here, **collecting)
    expected = {"train": "evaluate.py ckpt=outputs/", "soak": "3 invalid, ", "mutation": "2 of 2", "test": "collected"}
    assert expected.get(target, "") in printed


@pytest.mark.slow
@pytest.mark.parametrize("command", of("pip install "))
def test_what_is_typed_to_install_finds_its_packages(command: str, tmp_path: Path) -> None:
    # those that are installed already, for want of a network
    offline = ["--no-index", "--no-build-isolation", "--dry-run"]
    install = [sys.executable, "-m", *shlex.split(command), *offline]
    assert "Would install partae-" in in_a_process(install, copied(tmp_path / "partae"))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"\[(.*)\]", command)) <= set(extras)  # pip passes over others with a warning


BRIEF: dict[str, dict[str, Any]] = {
    "epoch": {"EPOCHS": 1, "ROUNDS": 1},
    "stack": {"COUNTS": (1, 2), "TURNS": 1, "STEPS": 2},
    "projection": {"VECTORS": 200},
    "approximation": {"ROUNDS": 1, "RADII": (1,)},
    "streaming": {"TIMES": 1},
}


@pytest.mark.slow
@pytest.mark.parametrize("command", of("python benchmarks/"))
def test_what_is_typed_to_measure_speed_prints_it(command: str, tmp_path: Path) -> None:
    _, name, *arguments = shlex.split(command)
    script = ROOT / name
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
def test_the_commands_of_the_page_on_data_run(tmp_path: Path, images_of_odd_sizes: Path, some_arrays: Path) -> None:
    images_of_odd_sizes.rename(tmp_path / "photos")
    lines = [line for block in blocks(ROOT / "docs" / "data.md", "sh") for line in block.splitlines()]
    lines = [line for line in lines if "mnist" not in line]  # not to be had here
    assert len(lines) >= 5
    for number, line in enumerate(lines):
        _, script, *overrides = shlex.split(line.replace("<run folder>", "run"))
        if script == "train.py":
            run = "run" if "data.source.root=outputs/digits.npz" in overrides else f"other_{number}"
            overrides += ["trainer.max_epochs=1", f"hydra.run.dir={run}"]
        in_a_process([sys.executable, str(ROOT / script), *overrides], tmp_path)
    assert (tmp_path / "run" / "evaluation" / "metrics.json").exists()
