from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from partae.sweep import as_trained, resume
from partae.sweep.command_line import _value, quoted, resume_line
from tests.command_line import type_in

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


@pytest.mark.parametrize("name", ["a-run", "a run", "été", "7", "1e3", "true", "null", "it's", "a,b", "outputs/x_1.5"])
def test_a_line_that_is_printed_can_be_typed(name: str) -> None:
    typed = shlex.split(resume_line(Path(name)))[-1]
    key, _, text = typed.partition("=")
    assert key == "resume"
    assert str(_value(typed)) == name
    (override,) = OverridesParser.create().parse_overrides([typed])
    assert str(override.value()) == name, text


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
    again = type_in("train.py", [f"resume={place}"], tmp_path)
    assert again.status == 0, again.err
    assert "is finished already, and nothing is trained" in again.out
