from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.loggers import CSVLogger

from partae.checks import InputError
from partae.run.build import closing
from partae.run.command_line import resume, resume_line
from partae.run.folder import begin, changed, fail, failure, finish, is_finished, measures_of, settings, status
from partae.run.job import run_job
from tests.conftest import Compose


@pytest.fixture(params=[RunMode.RUN, RunMode.MULTIRUN], ids=["alone", "in a sweep"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RunMode:
    """How Hydra was asked to run what a test runs."""
    chosen: RunMode = request.param
    own = OmegaConf.create({"mode": chosen, "overrides": {"task": ["seed=1"]}, "job": {"num": 0}})
    monkeypatch.setattr(HydraConfig, "get", lambda: own)
    return chosen


def test_a_finished_job_is_not_trained_again(mode: RunMode, composed: Compose, tmp_path: Path) -> None:
    folder = tmp_path / "sweep" / "job"
    measures = {"val/reconstruction_error": 0.1}
    begun = []

    def train(*_: object) -> dict[str, float]:
        begun.append(status(folder))
        finish(folder, measures, 2.0)
        return measures

    for _ in range(2):
        found = run_job(train, composed("seed=1"), folder)
        assert found["val/reconstruction_error"] == 0.1
    assert begun == ["unfinished"]
    assert measures_of(folder) == {**measures, "wall_time": 2.0}
    assert OmegaConf.load(folder / ".hydra" / "config.yaml") == composed("seed=1")
    assert (tmp_path / "sweep" / "sweep.csv").exists() == (mode == RunMode.MULTIRUN)


def test_a_job_of_other_settings_is_refused_and_the_finished_one_stays(
    mode: RunMode, composed: Compose, tmp_path: Path
) -> None:
    own, folder = HydraConfig.get(), tmp_path / "job"
    begin(composed("seed=1"), own, folder)
    finish(folder, {}, 1.0)
    begin(composed("seed=1", "name=other", "fail_fast=true", "data.source.root=elsewhere"), own, folder)
    before = (folder / ".hydra" / "config.yaml").read_bytes()
    with pytest.raises(InputError, match=r"other settings \(seed: 1 -> 2, sparsity\.beta: 0\.\d+ -> 0\.5\)"):
        begin(composed("seed=2", "sparsity.beta=0.5"), own, folder)
    other = composed("sparsity=l2")
    found = changed(other, settings(other), folder)
    assert any("_target_: partae.sparsity.KL -> partae.sparsity.L2" in key for key in found)
    assert (folder / ".hydra" / "config.yaml").read_bytes() == before
    assert is_finished(folder)


def test_the_images_that_a_job_saw_are_a_setting_and_where_they_lie_is_not(
    mode: RunMode, composed: Compose, some_arrays: Path, tmp_path: Path
) -> None:
    own, folder = HydraConfig.get(), tmp_path / "job"

    def images(root: Path) -> DictConfig:
        return composed("data=arrays", f"data.source.root={root}")

    begin(images(some_arrays), own, folder)
    finish(folder, {}, 1.0)
    shutil.copytree(some_arrays, tmp_path / "moved")
    begin(images(tmp_path / "moved"), own, folder)
    pixels = np.load(tmp_path / "moved" / "train_images.npy")
    np.save(tmp_path / "moved" / "train_images.npy", 255 - pixels)
    with pytest.raises(InputError, match=r"other settings \(data\.source: its images were added to, removed or"):
        begin(images(tmp_path / "moved"), own, folder)
    shutil.rmtree(tmp_path / "moved")
    with pytest.raises(OmegaConfBaseException, match="moved does not exist"):  # are they the same?
        begin(images(tmp_path / "moved"), own, folder)


def test_settings_are_kept_as_values_and_not_as_references(mode: RunMode, composed: Compose, tmp_path: Path) -> None:
    secret = "+logger.key=${oc.env:HOME}"
    task = {"overrides": {"task": ["data.seed=\\${seed}", "seed=3", secret.replace("$", "\\$")]}}  # as Hydra escapes it
    own: Any = OmegaConf.merge(HydraConfig.get(), task)
    cfg = composed("data.seed=${seed}", "seed=3", "+logger.key=${oc.env:HOME}")
    begin(cfg, own, tmp_path)
    finish(tmp_path, {}, 1.0)
    kept = yaml.safe_load((tmp_path / ".hydra" / "config.yaml").read_text())
    assert (kept["data"]["seed"], kept["data"]["image_shape"]) == (3, [1, 28, 28])
    assert kept["model"]["encoder"] == "${encoder}"
    assert kept["logger"]["key"] == "${oc.env:HOME}"  # which may be a secret
    assert yaml.safe_load((tmp_path / ".hydra" / "overrides.yaml").read_text()) == ["data.seed=3", "seed=3", secret]
    begin(composed("data.seed=3", "seed=3", "+logger.key=${oc.env:HOME}"), own, tmp_path)
    (tmp_path / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(cfg))  # as earlier versions kept them
    begin(cfg, own, tmp_path)


def test_a_run_gone_on_with_is_never_to_be_removed(mode: RunMode, composed: Compose, tmp_path: Path) -> None:
    own = HydraConfig.get()
    begin(composed("seed=1"), own, tmp_path)
    finish(tmp_path, {}, 1.0)
    with pytest.raises(InputError, match=r"seed: 1 -> 2\): resume= goes on with a run as it was"):
        begin(composed("seed=2", f"resume={tmp_path}"), own, tmp_path)
    begin(composed("seed=1", f"resume={tmp_path}"), own, tmp_path)


@pytest.mark.parametrize("name", [".hydra", "checkpoints", "checkpoints/sub", "checkpoints/last.ckpt", "hparams.yaml"])
def test_nothing_is_written_through_a_link(mode: RunMode, name: str, composed: Compose, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).symlink_to(tmp_path / "precious")  # which may be there or not
    (folder / "error.txt").symlink_to("error.txt")  # in a circle: it is replaced, and not written through
    with pytest.raises(InputError, match=rf"job/{name} is a symbolic link to .*precious, where nothing is overwritten"):
        begin(composed(), HydraConfig.get(), folder)
    assert not (tmp_path / "precious").exists()


@pytest.mark.parametrize(
    ("overrides", "several"),
    [
        ([], False),
        (["trainer.devices=[0]"], False),
        (["trainer.devices=2"], True),
        (["trainer.devices=auto"], True),
        (["trainer.devices=[0,1]"], True),
        (["trainer=ddp", "trainer.devices=1"], True),
    ],
)
def test_a_sweep_trains_each_model_on_one_device(
    mode: RunMode, overrides: list[str], several: bool, composed: Compose, tmp_path: Path
) -> None:
    folder = tmp_path / "sweep" / "job"
    measures = {"val/reconstruction_error": 0.1}
    found = run_job(lambda *_: measures, composed(*overrides), folder)
    if several and mode == RunMode.MULTIRUN:
        assert not found
        assert "a sweep trains each model on one device: leave out -m" in failure(folder)
    else:
        assert found == measures


@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe", b"- 1", b""])
def test_a_damaged_configuration_is_named(mode: RunMode, content: bytes, composed: Compose, tmp_path: Path) -> None:
    begin(composed(), HydraConfig.get(), tmp_path)
    finish(tmp_path, {}, 1.0)
    (tmp_path / ".hydra" / "config.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.yaml is damaged"):
        begin(composed(), HydraConfig.get(), tmp_path)


def test_settings_may_change_before_anything_is_trained(mode: RunMode, composed: Compose, tmp_path: Path) -> None:
    begin(composed("sparsity.p=1.5"), HydraConfig.get(), tmp_path)
    fail(tmp_path, InputError("sparsity.p must be less"))
    begin(composed("sparsity.p=0.5"), HydraConfig.get(), tmp_path)
    assert status(tmp_path) == "unfinished"
    cfg = composed("sparsity.p=1.5")
    assert changed(cfg, settings(cfg), tmp_path) == []


def test_what_a_job_sets_in_its_process_is_not_there_for_the_next(
    mode: RunMode, composed: Compose, tmp_path: Path
) -> None:
    def state() -> tuple[object, ...]:
        process = torch.get_deterministic_debug_mode(), torch.get_float32_matmul_precision(), torch.get_default_dtype()
        return (*process, dict(os.environ))

    def train(*_: object) -> dict[str, float]:
        os.environ["PL_GLOBAL_SEED"] = "7"
        os.environ.pop("HOME")
        torch.use_deterministic_algorithms(True)
        torch.set_float32_matmul_precision("medium")
        torch.set_default_dtype(torch.float64)
        return {"val/reconstruction_error": 0.1}

    before = state()
    run_job(train, composed(), tmp_path / "job")
    assert state() == before


def test_a_logger_that_lives_as_long_as_its_process_is_closed_with_its_job() -> None:
    told: list[str] = []

    class Lasting(CSVLogger):
        def finalize(self, status: str) -> None:
            told.append(status)

    logger = Lasting("nowhere")
    with closing([logger]):  # which has not begun to write
        pass
    logger._experiment = SimpleNamespace(finish=lambda: told.append("finished"))  # type: ignore[assignment]
    with pytest.raises(InputError), closing([logger]):
        raise InputError("no")
    assert told == ["success", "failed", "finished"]


def test_an_error_is_the_jobs_own_in_a_sweep(mode: RunMode, composed: Compose, tmp_path: Path) -> None:
    def train(*_: object) -> dict[str, float]:
        raise ZeroDivisionError("by this job")

    folder = tmp_path / "job"
    if mode == RunMode.RUN:
        with pytest.raises(ZeroDivisionError):
            run_job(train, composed(), folder)
        return
    assert run_job(train, composed(), folder) == {}
    assert failure(folder) == "ZeroDivisionError: by this job"
    assert "Traceback" in (folder / "error.txt").read_text()
    assert run_job(train, composed("fail_fast=true"), tmp_path / "next") == {}
    assert not (tmp_path / "next").exists()
    assert run_job(train, composed(), tmp_path / "after") == {}
    assert status(tmp_path / "after") == "failed"


def test_resume_is_the_command_of_the_folder_again(composed: Compose, tmp_path: Path) -> None:
    folder = tmp_path / "it's one"
    own = OmegaConf.create({"mode": RunMode.RUN, "overrides": {"task": ["seed=1", "encoder.hidden=[8,4]"]}})
    begin(composed(), own, folder)  # type: ignore[arg-type]
    again = resume([f"resume={folder}", "trainer.accelerator=cpu"])
    place = f"'{tmp_path}/it\\'s one'"
    assert again[:3] == ["seed=1", "encoder.hidden=[8,4]", "trainer.accelerator=cpu"]
    assert again[3:] == [f"resume={place}", f"hydra.run.dir={place}"]
    flags = ["--config-dir", "mine", "-q"]
    assert resume([*flags[:2], f"resume={folder}", *flags[2:]]) == [*flags, *again[:2], *again[3:]]
    assert resume(["seed=1"]) == ["seed=1"]


@pytest.mark.parametrize(("sweep", "words"), [(False, "not the folder of a run"), (True, "is a sweep")])
def test_resume_needs_a_run(sweep: bool, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if sweep:
        (tmp_path / "multirun.yaml").touch()
    with pytest.raises(SystemExit) as end:
        resume([f"resume={tmp_path}"])
    assert end.value.code == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "override",
    [
        "sparsity._target_=os.system",
        "+callbacks.evil={_target_:os.system,command:'touch marker'}",
        "+callbacks.evil=[{a:{_target_:os.system}}]",
        "+callbacks.evil=${oc.decode:'{_target_:os.system}'}",
        "+callbacks.evil={a:'${oc.env:HOME}'}",
        "sparsity=../../tmp/evil",
        "+sparsity@model.evil=../../tmp/evil",
        "constraint=[nonnegative,../evil]",
        "hydra.searchpath=[/tmp/evil]",
        "+hydra/launcher=submitit_local",
        "sparsity@hydra.job=l1",
        "--config-dir=/tmp/evil",
        "-m",
        "logger.save_dir=/tmp/elsewhere",
        "callbacks.checkpoint.dirpath=/tmp/elsewhere",
        "callbacks.checkpoint={filename:../../other}",
        "+logger={save_dir:/tmp/elsewhere}",
        "trainer.default_root_dir=/tmp/elsewhere",
    ],
)
def test_a_strangers_run_folder_says_values_only(
    override: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(["seed=1", override]))
    with pytest.raises(SystemExit):
        resume([f"resume={tmp_path}"])
    message = capsys.readouterr().err
    assert repr(override) in message
    assert "overrides.yaml" in message


STOP = "+callbacks.stop._target_=pytorch_lightning.callbacks.EarlyStopping"


@pytest.mark.parametrize(
    "override", [STOP, "+callbacks.mine={_target_:my.Own,text:'it is'}", "name='${oc.env:USER} x'"]
)
def test_the_line_that_a_run_prints_names_what_its_folder_alone_may_not_say(
    override: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["seed=1", override, "+callbacks.stop.monitor=val/loss"]
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(given))
    with pytest.raises(SystemExit):
        resume([f"resume={tmp_path}"])
    assert f"if you trust it, type it behind resume={tmp_path}, as {shlex.quote(override)}" in capsys.readouterr().err
    typed = shlex.split(resume_line(tmp_path, given))[-2:]
    assert typed == [f"resume={tmp_path}", override]
    assert resume(typed)[:-2] == ["seed=1", "+callbacks.stop.monitor=val/loss", override]


def test_what_a_run_was_given_is_taken_from_its_folder(tmp_path: Path) -> None:
    given = ["sparsity=l1", "+experiment=table_1", "data.source.root=../data", "constraint=[nonnegative,unit_norm]"]
    given += ["experiment/table_1@_global_=none", "encoder.hidden=[20,10]", "name='with a space'", "schedule=null"]
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(given))
    assert resume([f"resume={tmp_path}", "seed=2"])[:-2] == [*given, "seed=2"]


@pytest.mark.parametrize(
    "content",
    [
        b"seed: 1",
        b"- [1]",
        b"text",
        b"!!python/object/apply:os.system [touch marker]",
        b"- 2024-13-45",
        b"\xff\xfe",
        b"- [",
    ],
)
def test_what_is_no_list_of_overrides_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_bytes(content)
    with pytest.raises(SystemExit):
        resume([f"resume={tmp_path}"])
