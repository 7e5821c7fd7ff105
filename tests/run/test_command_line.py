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
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from partae.run.command_line import (
    _split,
    _value,
    again_line,
    as_trained,
    evaluate_line,
    quoted,
    resume,
    resume_line,
    tensorboard_line,
)
from partae.sweep.sweep_page import write_page
from tests.command_line import ROOT, type_in

TINY = ["data=bars", "data.source.train_size=60", "data.source.test_size=20", "data.val_size=20", "latent_dim=4"]
TINY += ["trainer.max_epochs=1", "trainer.accelerator=cpu", "quiet=true"]


def trained_on(folder: Path, choice: str, **data: Any) -> Path:
    """A run folder that says what its images were."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").touch()
    hydra = {"hydra": {"runtime": {"choices": {"data": choice}}}}
    for name, content in (("hydra", hydra), ("config", {"data": data})):
        (folder / ".hydra" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


def test_a_model_is_evaluated_on_the_images_of_its_training(tmp_path: Path) -> None:
    source = {"_target_": "partae.data.Folder", "root": "it's a folder", "size": [8, 6], "channels": None, "seed": 1}
    shape = "${partae.image_shape:${.source}}"
    run = trained_on(tmp_path / "run", "folder", source=source, image_shape=shape, val_size=0.2, batch_size=128)
    images = ["data=folder", "++data.batch_size=128", "++data.source.channels=null"]
    images += [r"++data.source.root='it\'s a folder'", "++data.source.seed=1", "++data.source.size=[8,6]"]
    images += ["++data.val_size=0.2"]
    for ckpt in (run, run / "checkpoints" / "last.ckpt", f"[{run}]", f"{{one: {run}}}", tmp_path):
        assert as_trained([f"ckpt={ckpt}", "svm=quick"]) == [*images, f"ckpt={ckpt}", "svm=quick"]
    assert as_trained(["--cfg", "job", f"ckpt={run}"])[:3] == ["--cfg", "job", "data=folder"]


def test_images_may_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained_on(tmp_path / "run", "bars", val_size=3)
    assert as_trained([f"ckpt={run}", "data=swimmer"]) == [f"ckpt={run}", "data=swimmer"]
    changed = [f"ckpt={run}", "data.val_size=4"]
    assert as_trained(changed) == ["data=bars", "++data.val_size=3", *changed]
    for others in ([], ["--help"], [f"ckpt={tmp_path / 'nowhere'}"], ["ckpt=[", "svm=quick"]):
        assert as_trained(others) == others
    assert not capsys.readouterr().err, "what does not exist, evaluate.py says"
    (tmp_path / "model.ckpt").touch()
    assert as_trained([f"ckpt={tmp_path / 'model.ckpt'}"]) == [f"ckpt={tmp_path / 'model.ckpt'}"]
    assert "Nothing says what images" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        as_trained(["-m", f"ckpt={run},{run}"])
    assert "is a sweep: give a list of them, in brackets" in capsys.readouterr().err


def test_an_export_is_evaluated_on_the_images_of_its_run(tmp_path: Path) -> None:
    run = trained_on(tmp_path / "run", "bars", val_size=3)
    file = run / "evaluation" / "model.safetensors"
    file.parent.mkdir()
    file.touch()
    assert as_trained([f"ckpt={file}"]) == ["data=bars", "++data.val_size=3", f"ckpt={file}"]


def test_images_that_are_served_otherwise_are_the_same(tmp_path: Path) -> None:
    for number, root in enumerate(["here", "there"]):
        source = {"root": root, "download": number == 0, "selection": "letters"}
        trained_on(tmp_path / str(number), "emnist", source=source, batch_size=16 + number, seed=number)
    assert as_trained([f"ckpt={tmp_path}"])[:2] == ["data=emnist", "++data.batch_size=16"]


def test_a_run_of_another_machine_finds_a_download_in_its_usual_place(tmp_path: Path) -> None:
    source = {"root": str(tmp_path / "scratch"), "download": True}
    run = trained_on(tmp_path / "run", "fashion_mnist", source=source)
    assert as_trained([f"ckpt={run}"]) == ["data=fashion_mnist", "++data.source.download=true", f"ckpt={run}"]
    (tmp_path / "scratch").mkdir()
    assert f"++data.source.root='{tmp_path / 'scratch'}'" in as_trained([f"ckpt={run}"])


def test_a_choice_of_a_users_own_is_found_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained_on(tmp_path / "run", "own/my-faces.v2", val_size=3)
    assert as_trained([f"ckpt={run}"])[0] == "data=own/my-faces.v2"
    other = trained_on(tmp_path / "other", "my faces", val_size=3)
    assert as_trained([f"ckpt={other}"]) == [f"ckpt={other}"]
    assert "Nothing says what images" in capsys.readouterr().err


def test_another_process_of_a_run_resumes_nothing_twice(tmp_path: Path) -> None:
    run = trained_on(tmp_path / "it's a run", "bars")
    (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(["data=bars"]))
    once = resume([f"resume={run}", "seed=2"])
    assert resume(once) == once


@pytest.mark.parametrize("folders", ["one,other", "[one,other]", "{one: other}"])
def test_runs_go_on_one_by_one(folders: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        resume([f"resume={folders}"])
    assert f"resume={folders} must name one folder" in capsys.readouterr().err


NAMES = ["a-run", "a run", "été", "7", "1e3", "true", "null", "it's", "a,b", "outputs/x_1.5", "a=b", "a(1)", "(x", "$x"]
NAMES += ["-x", "--x=1", '"q"', "a\\b", "a\\", "{a:b}", "[a]", "~x", "a;b", "*", "#x", "a: b"]


def page_line(folder: Path) -> str:
    """What the page of a sweep says of a run in it that has no report."""
    page = write_page(folder.parent, [{"folder": folder.name, "status": "finished"}])
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found
    line: str = json.loads(found[1])["runs"][0]["evaluate"]
    return line


def digits_line(folder: Path) -> str:
    """What the example that writes digits says of them."""
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
    (override,) = (
        each for each in OverridesParser.create().parse_overrides(_split(typed)[1]) if each.key_or_group == key
    )
    assert str(override.value()) == name
    if key != "data.source.root":
        assert str(_value(typed[-1])) == name
    if line is again_line:
        assert typed[:-1] == ["-m", "seed=0,1", "sparsity.p=0.1"]


@pytest.mark.parametrize("name", NAMES)
def test_tensorboard_looks_at_the_folder_that_a_run_names(name: str) -> None:
    script, option = shlex.split(tensorboard_line(Path(name)))
    parser = argparse.ArgumentParser(script)
    parser.add_argument("--logdir")
    assert parser.parse_args([option]).logdir == name


@pytest.mark.parametrize(
    ("called", "said"),
    [
        ("train.py", ["python", "train.py"]),
        ("../a clone/evaluate.py", ["python", "../a clone/train.py"]),
        ("/usr/bin/partae-train", ["partae-train"]),
        ("/usr/bin/partae-evaluate", ["partae-train"]),
    ],
)
def test_a_line_calls_partae_as_it_was_called(called: str, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [called, "-m", "seed=0,1"])
    assert shlex.split(resume_line(Path("x"))) == [*said, "resume=x"]
    assert shlex.split(again_line(Path("x"))) == [*said, "-m", "seed=0,1", "hydra.sweep.dir=x"]


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"])) | st.floats() | st.integers() | st.none() | st.booleans()
)
def test_values_arequoted_as_hydra_reads_them(value: Any) -> None:
    text = quoted([value])
    (override,) = OverridesParser.create().parse_overrides([f"a={text}"])
    assert repr(override.value()) == repr([value])


def test_runs_of_different_images_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained_on(tmp_path / "one", "bars", source={"probability": 0.4})
    trained_on(tmp_path / "other", "bars", source={"probability": None})
    with pytest.raises(SystemExit) as end:
        as_trained([f"ckpt={tmp_path}"])
    assert end.value.code == 1
    assert "names runs of different images" in capsys.readouterr().err


@pytest.mark.parametrize("choice", ["../../tmp/evil", "/tmp/evil", 3, None, ["bars"]])
def test_a_stranger_chooses_no_file(choice: Any, tmp_path: Path) -> None:
    run = trained_on(tmp_path / "run", choice, val_size=3)
    assert as_trained([f"ckpt={run}"]) == [f"ckpt={run}"]


@pytest.mark.parametrize(
    "data",
    [
        {"source": {"_target_": "os.system", "command": "${oc.env:HOME}"}},
        {"source": {"root": ["${oc.env:HOME}"]}},
        {"source": {"x y": 1, "a=b": 2, "k": {"_target_": "os.system"}, "c=3 hydra.run.dir": {"d": 4}}},
        {"source": "${oc.env:HOME}"},
    ],
)
def test_what_a_stranger_says_of_images_is_values_only(data: Any, tmp_path: Path) -> None:
    run = trained_on(tmp_path / "run", "bars", **data)
    assert as_trained([f"ckpt={run}"]) == ["data=bars", f"ckpt={run}"]


@pytest.mark.parametrize("name", ["hydra", "config"])
@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe", b"- 1"])
def test_a_damaged_folder_is_named(
    name: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained_on(tmp_path / "run", "bars")
    (run / ".hydra" / f"{name}.yaml").write_bytes(content)
    with pytest.raises(SystemExit):
        as_trained([f"ckpt={run}"])
    assert f"{name}.yaml is damaged" in capsys.readouterr().err


def test_the_line_that_a_run_ends_with_evaluates_it(tmp_path: Path) -> None:
    place = "a run's folder"
    quoted = "'" + place.replace("'", "\\'") + "'"
    typed = [*TINY, "data.source.probability=0.4", "+data.memory=2", f"hydra.run.dir={quoted}"]
    outcome = type_in("train.py", typed, tmp_path)
    assert outcome.status == 0, outcome.err
    (line,) = (line for line in outcome.out.splitlines() if "evaluate.py" in line)
    evaluated = type_in("evaluate.py", shlex.split(line)[2:], tmp_path)
    assert evaluated.status == 0, evaluated.err
    wrong = type_in("evaluate.py", [*shlex.split(line)[2:], "data.batch_size=x"], tmp_path)
    assert wrong.err.startswith("data.batch_size must be a whole number, at least 1; got 'x'\n"), wrong.err
    again = type_in("train.py", [f"resume={place}"], tmp_path)
    assert again.status == 0, again.err
    assert "is finished already, and nothing is trained" in again.out
