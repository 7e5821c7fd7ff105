from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from partae.checks import InputError
from partae.run.command_line import add_training_images, resume
from partae.run.hints import resume_line
from tests.command_line import type_in

TINY = ["data=bars", "data.source.train_size=60", "data.source.test_size=20", "data.val_size=20", "latent_dim=4"]
TINY += ["trainer.max_epochs=1", "trainer.accelerator=cpu", "quiet=true"]


def trained_on(folder: Path, choice: Any, **data: Any) -> Path:
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
    export = run / "evaluation" / "model.safetensors"
    export.parent.mkdir()
    export.touch()
    images = ["data=folder", "++data.batch_size=128", "++data.source.channels=null"]
    images += [r"++data.source.root='it\'s a folder'", "++data.source.seed=1", "++data.source.size=[8,6]"]
    images += ["++data.val_size=0.2"]
    for ckpt in (run, run / "checkpoints" / "last.ckpt", export, f"[{run}]", f"{{one: {run}}}", tmp_path):
        assert add_training_images([f"ckpt={ckpt}", "svm=quick"]) == [*images, f"ckpt={ckpt}", "svm=quick"]
    assert add_training_images(["--cfg", "job", f"ckpt={run}"])[:3] == ["--cfg", "job", "data=folder"]


def test_images_may_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained_on(tmp_path / "run", "bars", val_size=3)
    assert add_training_images([f"ckpt={run}", "data=swimmer"]) == [f"ckpt={run}", "data=swimmer"]
    changed = [f"ckpt={run}", "data.val_size=4"]
    assert add_training_images(changed) == ["data=bars", "++data.val_size=3", *changed]
    for others in ([], ["--help"], [f"ckpt={tmp_path / 'nowhere'}"], ["ckpt=[", "svm=quick"]):
        assert add_training_images(others) == others
    assert not capsys.readouterr().err, "evaluate.py says what does not exist"
    (tmp_path / "model.ckpt").touch()
    assert add_training_images([f"ckpt={tmp_path / 'model.ckpt'}"]) == [f"ckpt={tmp_path / 'model.ckpt'}"]
    assert "model.ckpt was trained on: the default images are used" in capsys.readouterr().err
    with pytest.raises(InputError, match="is a sweep: give a list of models, in brackets"):
        add_training_images([f"ckpt={run},{run}"])
    assert add_training_images([f"ckpt={run}", "hydra.mode=RUN"])[-1] == "hydra.mode=RUN"
    with pytest.raises(InputError, match="leave out -m"):
        add_training_images(["-m", f"ckpt={run}"])


def test_images_that_are_served_otherwise_are_the_same(tmp_path: Path) -> None:
    for number, root in enumerate(["here", "there"]):
        source = {"root": root, "download": number == 0, "selection": "letters"}
        trained_on(tmp_path / str(number), "emnist", source=source, batch_size=16 + number, seed=number)
    assert add_training_images([f"ckpt={tmp_path}"])[:2] == ["data=emnist", "++data.batch_size=16"]


def test_runs_of_different_images_are_told_apart(tmp_path: Path) -> None:
    trained_on(tmp_path / "one", "bars", source={"probability": 0.4})
    trained_on(tmp_path / "other", "bars", source={"probability": None})
    with pytest.raises(InputError, match="names runs of different images"):
        add_training_images([f"ckpt={tmp_path}"])


def test_a_run_of_another_machine_finds_a_download_in_its_usual_place(tmp_path: Path) -> None:
    source = {"root": str(tmp_path / "scratch"), "download": True}
    run = trained_on(tmp_path / "run", "fashion_mnist", source=source)
    assert add_training_images([f"ckpt={run}"]) == ["data=fashion_mnist", "++data.source.download=true", f"ckpt={run}"]
    (tmp_path / "scratch").mkdir()
    assert f"++data.source.root='{tmp_path / 'scratch'}'" in add_training_images([f"ckpt={run}"])


def test_a_choice_of_a_users_own_is_found_again(tmp_path: Path) -> None:
    run = trained_on(tmp_path / "run", "own/my-faces.v2", val_size=3)
    assert add_training_images([f"ckpt={run}"])[0] == "data=own/my-faces.v2"


@pytest.mark.parametrize("choice", ["../../tmp/evil", "/tmp/evil", "my faces", 3, None, ["bars"]])
def test_a_stranger_chooses_no_file(choice: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained_on(tmp_path / "run", choice, val_size=3)
    assert add_training_images([f"ckpt={run}"]) == [f"ckpt={run}"]
    assert "No run folder says what images" in capsys.readouterr().err


@pytest.mark.parametrize(
    "data",
    [
        {"source": {"_target_": "os.system", "command": "${oc.env:HOME}"}},
        {"source": {"root": ["${oc.env:HOME}"]}},
        {"source": {"x y": 1, "a=b": 2, "k": {"_target_": "os.system"}, "c=3 hydra.run.dir": {"d": 4}}},
        {"source": "${oc.env:HOME}"},
    ],
)
def test_a_stranger_gives_values_of_images_only(data: Any, tmp_path: Path) -> None:
    run = trained_on(tmp_path / "run", "bars", **data)
    assert add_training_images([f"ckpt={run}"]) == ["data=bars", f"ckpt={run}"]


@pytest.mark.parametrize("name", ["hydra", "config"])
@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe", b"- 1"])
def test_a_damaged_folder_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    run = trained_on(tmp_path / "run", "bars")
    (run / ".hydra" / f"{name}.yaml").write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}\.yaml is damaged"):
        add_training_images([f"ckpt={run}"])


def given(folder: Path, content: Any) -> Path:
    """The folder of a run that was given overrides, or a file with any other content."""
    (folder / ".hydra").mkdir(parents=True)
    text = content if isinstance(content, bytes) else yaml.safe_dump(content).encode()
    (folder / ".hydra" / "overrides.yaml").write_bytes(text)
    return folder


def test_resume_is_the_command_of_the_folder_again(tmp_path: Path) -> None:
    overrides = ["sparsity=l1", "+experiment=table_1", "data.source.root=../data", "constraint=[nonnegative,unit_norm]"]
    overrides += ["experiment/table_1@_global_=none", "encoder.hidden=[20,10]", "name='with a space'", "schedule=null"]
    folder = given(tmp_path / "it's one", overrides)
    place = f"'{tmp_path}/it\\'s one'"
    line = resume(["--config-dir", "mine", f"resume={folder}", "-q", "seed=2"])
    assert line == ["--config-dir", "mine", "-q", *overrides, "seed=2", f"resume={place}", f"hydra.run.dir={place}"]
    assert resume(line) == line, "another process of the same run"
    assert resume(["seed=1"]) == ["seed=1"]


@pytest.mark.parametrize("folders", ["one,other", "[one,other]", "{one: other}"])
def test_runs_go_on_one_by_one(folders: str) -> None:
    with pytest.raises(InputError, match="must name one folder"):
        resume([f"resume={folders}"])


@pytest.mark.parametrize(("file", "words"), [("none", "not the folder of a run"), ("multirun.yaml", "is a sweep")])
def test_resume_needs_a_run(file: str, words: str, tmp_path: Path) -> None:
    (tmp_path / file).touch()
    with pytest.raises(InputError, match=words):
        resume([f"resume={tmp_path}"])


@pytest.mark.parametrize(
    "content", [b"seed: 1", b"- [1]", b"!!python/object/apply:os.system [touch marker]", b"- 2024-13-45", b"\xff\xfe"]
)
def test_a_file_without_a_list_of_overrides_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"overrides\.yaml"):
        resume([f"resume={given(tmp_path / 'run', content)}"])
    assert not Path("marker").exists()


@pytest.mark.parametrize(
    "override",
    [
        "+callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping",
        "+callbacks.mine={_target_:my.Own,text:'it is'}",
        "name='${oc.env:USER} x'",
    ],
)
def test_a_run_prints_the_overrides_that_its_folder_alone_may_not_give(override: str, tmp_path: Path) -> None:
    overrides = ["seed=1", override, "+callbacks.stop.monitor=val/loss"]
    folder = given(tmp_path / "run", overrides)
    with pytest.raises(InputError, match="if you trust it, type it behind") as error:
        resume([f"resume={folder}"])
    assert str(error.value).endswith(f"behind resume={folder}, as {shlex.quote(override)}")
    typed = shlex.split(resume_line(folder, overrides))[-2:]
    assert typed == [f"resume={folder}", override]
    assert resume(typed)[:-2] == ["seed=1", "+callbacks.stop.monitor=val/loss", override]


def test_the_line_that_a_run_ends_with_evaluates_it(tmp_path: Path) -> None:
    typed = [*TINY, "data.source.probability=0.4", "+data.memory=2", r"hydra.run.dir='a run\'s folder'"]
    outcome = type_in("train.py", typed, tmp_path)
    assert outcome.status == 0, outcome.err
    (line,) = (line for line in outcome.out.splitlines() if "evaluate.py" in line)
    evaluated = type_in("evaluate.py", shlex.split(line)[2:], tmp_path)
    assert evaluated.status == 0, evaluated.err
    wrong = type_in("evaluate.py", [*shlex.split(line)[2:], "data.batch_size=x"], tmp_path)
    assert wrong.err.startswith("data.batch_size must be a whole number, at least 1; got 'x'\n"), wrong.err
    again = type_in("train.py", ["resume=a run's folder"], tmp_path)
    assert again.status == 0, again.err
    assert "is finished already" in again.out
