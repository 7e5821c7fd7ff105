from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from partae.run.job import run_job
from partae.run.run_folder import failure, finish, measures_of, status
from tests.conftest import Compose

MEASURES = {"val/reconstruction_error": 0.1}


@pytest.fixture(params=[RunMode.RUN, RunMode.MULTIRUN], ids=["alone", "in a sweep"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RunMode:
    """Whether Hydra runs one job, or a sweep."""
    chosen: RunMode = request.param
    own = OmegaConf.create(
        {"mode": chosen, "overrides": {"task": ["seed=1"], "hydra": []}, "job": {"num": 0}, "sweeper": {}}
    )
    monkeypatch.setattr(HydraConfig, "get", lambda: own)
    return chosen


def test_a_finished_job_is_not_trained_again(
    mode: RunMode, composed: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = []

    def train(_: object, folder: Path) -> dict[str, float]:
        begun.append(status(folder))
        finish(folder, MEASURES, 2.0)
        return MEASURES

    for _ in range(2):
        assert run_job(composed("seed=1"), tmp_path, train)["val/reconstruction_error"] == 0.1
    assert begun == ["unfinished"]
    assert measures_of(tmp_path) == {**MEASURES, "wall_time": 2.0}
    assert OmegaConf.load(tmp_path / ".hydra" / "config.yaml") == composed("seed=1")
    assert ("is finished already" in capsys.readouterr().out) == (mode == RunMode.RUN)


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
    measures = run_job(composed(*overrides), tmp_path, lambda *_: MEASURES)
    if several and mode == RunMode.MULTIRUN:
        assert not measures
        assert "a sweep trains each model on one device: leave out -m" in failure(tmp_path)
    else:
        assert measures == MEASURES


def test_what_a_job_sets_in_its_process_is_not_there_for_the_next(
    mode: RunMode, composed: Compose, tmp_path: Path
) -> None:
    def state() -> tuple[object, ...]:
        process = torch.get_deterministic_debug_mode(), torch.get_float32_matmul_precision(), torch.get_default_dtype()
        return (*process, torch.backends.cudnn.allow_tf32, dict(os.environ))

    def train(*_: object) -> dict[str, float]:
        os.environ["PL_GLOBAL_SEED"] = "7"
        os.environ.pop("HOME")
        torch.use_deterministic_algorithms(True)
        torch.set_float32_matmul_precision("medium")
        torch.set_default_dtype(torch.float64)
        torch.backends.cudnn.allow_tf32 = not torch.backends.cudnn.allow_tf32
        return MEASURES

    before = state()
    run_job(composed(), tmp_path, train)
    assert state() == before


def test_an_error_is_the_jobs_own_in_a_sweep(mode: RunMode, composed: Compose, tmp_path: Path) -> None:
    def train(*_: object) -> dict[str, float]:
        raise ZeroDivisionError("by this job")

    folder = tmp_path / "job"
    if mode == RunMode.RUN:
        with pytest.raises(ZeroDivisionError):
            run_job(composed(), folder, train)
        return
    assert run_job(composed(), folder, train) == {}
    assert failure(folder) == "ZeroDivisionError: by this job"
    assert "Traceback" in (folder / "error.txt").read_text()
    assert run_job(composed("fail_fast=true"), tmp_path / "next", train) == {}
    assert not (tmp_path / "next").exists()
    assert run_job(composed(), tmp_path / "after", train) == {}
    assert status(tmp_path / "after") == "failed"


@pytest.mark.parametrize(
    ("params", "task", "hydra", "message"),
    [
        ({"sparsity.p": "1,2", "seed": "0,1"}, ["sparsity.p=1"], [], "a sweep over seed: add -m"),
        ({"sparsity.p": "1,2"}, ["sparsity=none"], [], ""),
        ({"sparsity.p": "1,2"}, ["sparsity={p:1}"], [], ""),
        ({"sparsity.p": "1,2"}, ["~sparsity.p"], [], ""),
        ({"sparsity.p": "1,2"}, ["sparsity.port=1"], [], "a sweep over sparsity.p:"),
        ({"+trainer.limit_test_batches": "1,2"}, ["+trainer.limit_test_batches=1"], [], ""),
        ({"seed": "0,1"}, ["resume=here"], [], ""),
        ({}, [], ["hydra.sweeper.params=null", "hydra.run.dir=here"], ""),
        ({}, [], ["hydra/launcher=stacked"], "hydra/launcher=stacked concerns sweeps only"),
        ({}, [], ["hydra.sweeper.n_trials=3"], "hydra.sweeper.n_trials=3 concerns sweeps only"),
    ],
)
def test_a_run_alone_is_refused_where_a_sweep_was_meant(
    params: dict[str, str],
    task: list[str],
    hydra: list[str],
    message: str,
    composed: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    overrides = {"task": task, "hydra": hydra}
    own = OmegaConf.create({"mode": RunMode.RUN, "overrides": overrides, "sweeper": {"params": params}})
    monkeypatch.setattr(HydraConfig, "get", lambda: own)
    cfg = composed(*(each for each in task if each.startswith("resume=")))
    with pytest.raises(SystemExit, match=message) if message else contextlib.nullcontext():
        assert run_job(cfg, tmp_path, lambda *_: MEASURES) == MEASURES
