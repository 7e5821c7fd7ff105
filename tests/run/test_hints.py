from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from partae.run.hints import again_line, evaluate_line, resume_line, tensorboard_line
from partae.run.overrides import read_value, split_flags
from partae.run.provenance import provenance_of_run, provenance_of_sweep
from partae.sweep.sweep_page import write_page
from tests.command_line import ROOT

NAMES = ["a-run", "a run", "été", "7", "1e3", "true", "null", "it's", "a,b", "outputs/x_1.5", "a=b", "a(1)", "(x", "$x"]
NAMES += ["-x", "--x=1", '"q"', "a\\b", "a\\", "{a:b}", "[a]", "~x", "a;b", "*", "#x", "a: b"]


def page_line(folder: Path) -> str:
    """The line on the page of a sweep for a run without a report."""
    page = write_page(folder.parent, [{"folder": folder.name, "status": "finished"}], {})
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found
    line: str = json.loads(found[1])["runs"][0]["evaluate"]
    return line


def digits_line(folder: Path) -> str:
    """The line of the example that writes digits."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        runpy.run_path(str(ROOT / "examples" / "digits.py"))["main"](folder)
    return out.getvalue().splitlines()[-1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("line", "key"),
    [
        (resume_line, "resume"),
        (evaluate_line, "ckpt"),
        (page_line, "ckpt"),
        (again_line, "hydra.sweep.dir"),
        (digits_line, "data.source.root"),
    ],
)
def test_a_line_that_is_printed_can_be_typed(
    line: Callable[[Path], str], key: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "seed=0,1", "sparsity.p=0.1", "-m", "hydra.sweep.dir=a b"])
    _, script, *typed = shlex.split(line(Path(name)))
    assert script in ("train.py", "evaluate.py")
    overrides = OverridesParser.create().parse_overrides(split_flags(typed)[1])
    assert [str(each.value()) for each in overrides if each.key_or_group == key] == [name]
    if key != "data.source.root":
        assert str(read_value(typed[-1])) == name
    if line is again_line:
        assert typed[:-1] == ["-m", "seed=0,1", "sparsity.p=0.1"]


@pytest.mark.parametrize(
    ("config", "trust"),
    [
        (
            "encoder: {_target_: partae.encoder.Dense, activation: relu}\nmodel: {_target_: partae.model.AutoEncoder}",
            [],
        ),
        ("sparsity: {_target_: mine.Entropy}\nmodel: {_target_: partae.model.AutoEncoder}", []),
        (
            "encoder: {activation: {_target_: mine.deep.Swish}, layers: [{_target_: other.Layer}]}",
            ["trust=[mine,other]"],
        ),
        ("model: {_target_: mine.Model, encoder: '${encoder}'}", ["trust=[mine]"]),
        ("encoder: {_target_: '$(touch marker).A'}", []),
    ],
)
def test_the_line_that_evaluates_trusts_the_packages_of_the_model(
    config: str, trust: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(config)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    assert shlex.split(evaluate_line(tmp_path)) == ["python", "evaluate.py", *trust, f"ckpt={tmp_path}"]


def test_a_line_names_the_folder_of_settings_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "sparsity=entropy", "--config-dir", "my=settings"])
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "my=settings" / "data").mkdir(parents=True)
    hydra = {"runtime": {"choices": {"data": "mine"}}}
    (tmp_path / "run" / ".hydra" / "hydra.yaml").write_text(json.dumps({"hydra": hydra}))
    assert resume_line(Path("run")) == "python train.py --config-dir my=settings resume=run"
    monkeypatch.setattr(sys, "argv", ["train.py", "sparsity=entropy", "--config-dir=my=settings"])
    assert resume_line(Path("run")) == "python train.py --config-dir my=settings resume=run"
    assert evaluate_line(Path("run")) == "python evaluate.py ckpt=run"  # a model needs no settings, its images do
    (tmp_path / "my=settings" / "data" / "mine.yaml").touch()
    assert evaluate_line(Path("run")) == "python evaluate.py --config-dir my=settings ckpt=run"


@pytest.mark.parametrize("provider", ["command-line", "main"])
def test_a_page_says_that_there_were_own_settings_and_not_where(provider: str, tmp_path: Path) -> None:
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    sources = [1, {"path": str(tmp_path / "settings"), "schema": "file", "provider": provider}]
    hydra = {"runtime": {"config_sources": sources}, "overrides": {"task": ["sparsity=entropy"], "hydra": []}}
    for file in ("run/.hydra/hydra.yaml", "multirun.yaml"):
        (tmp_path / file).write_text(json.dumps({"hydra": hydra}))
    (tmp_path / "run" / ".hydra" / "overrides.yaml").write_text("[sparsity=entropy]")
    of_run, of_sweep = provenance_of_run(tmp_path / "run"), provenance_of_sweep(tmp_path, [])
    for found in (of_run, of_sweep):
        assert "sparsity=entropy" in found["Command"]
        assert "settings" not in found["Command"]
        assert ("Own settings" in found) == (provider == "command-line")


@pytest.mark.parametrize("name", NAMES)
def test_tensorboard_looks_at_the_folder_that_a_run_names(name: str) -> None:
    script, option = shlex.split(tensorboard_line(Path(name)))
    parser = argparse.ArgumentParser(script)
    parser.add_argument("--logdir")
    assert parser.parse_args([option]).logdir == name


@pytest.mark.parametrize(
    ("called", "command"),
    [
        ("train.py", ["python", "train.py"]),
        ("../a clone/evaluate.py", ["python", "../a clone/train.py"]),
        ("/usr/bin/partae-train", ["partae-train"]),
        ("/usr/bin/partae-evaluate", ["partae-train"]),
    ],
)
def test_a_line_calls_partae_as_it_was_called(called: str, command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [called, "-m", "seed=0,1"])
    assert shlex.split(resume_line(Path("x"))) == [*command, "resume=x"]
    assert shlex.split(again_line(Path("x"))) == [*command, "-m", "seed=0,1", "hydra.sweep.dir=x"]
