from __future__ import annotations

import os
from pathlib import Path

import pytest
from hydra import initialize
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn
from hydra.types import RunMode
from omegaconf import OmegaConf

from partae.run.run_folder import fail, finish
from partae.sweep import progress
from partae.sweep.progress import Progress


@pytest.mark.parametrize(
    ("overrides", "jobs"),
    [
        (["sparsity=kl,l1", "seed=range(0,3)", "latent_dim=4"], 6),
        (["sparsity=kl,l1", "sparsity=none"], 1),
        (["sparsity=glob(*l1)"], 2),
        (["experiment=figure_8"], 32),
        (["experiment=figure_8", "sparsity.p=0.1,0.2"], 16),
        (["experiment=search", "hydra.sweeper.n_trials=7"], 7),
    ],
)
def test_the_number_of_jobs_is_known_before_the_first(overrides: list[str], jobs: int) -> None:
    assert begun(*overrides).total == jobs


def begun(*overrides: str) -> Progress:
    """The progress of a sweep that begins."""
    progress = Progress()
    with initialize(version_base="1.3", config_path="../../conf"):
        loader = GlobalHydra.instance().config_loader()
        progress.on_multirun_start(loader.load_configuration("train", list(overrides), RunMode.MULTIRUN))
    return progress


def test_jobs_of_another_command_in_the_same_folder_do_not_count(tmp_path: Path) -> None:
    progress = begun("sparsity=kl,l1", "seed=range(0,2)", "data.seed='${seed}',3", "latent_dim=4")
    assert progress.total == 8
    progress.started = 1000.0
    for name, overrides in {
        "own": ["sparsity=l1", "seed=1", "data.seed=1", "latent_dim=4"],
        "another seed": ["sparsity=l1", "seed=2", "data.seed=2", "latent_dim=4"],
        "another key": ["sparsity=l1", "latent_dim=4"],
        "another fixed key": ["sparsity=l1", "seed=1", "data.seed=1", "latent_dim=5"],
        "failed at once": [],
    }.items():
        job(tmp_path / name, 1001.0, 1001.0)
        if overrides:
            (tmp_path / name / ".hydra" / "overrides.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(overrides)))
    assert progress.line(tmp_path, 1001.0) == "2 of 8 jobs done, about 00:00 left"


def job(folder: Path, begun: float, ended: float | None = None, error: str = "") -> None:
    """A job's folder, with times in seconds since the epoch."""
    begin = folder / ".hydra" / "hydra.yaml"
    begin.parent.mkdir(parents=True)
    begin.write_text("hydra: {mode: RUN}")
    os.utime(begin, (begun, begun))
    if ended is None:
        return
    if error:
        fail(folder, ValueError(error))
    else:
        finish(folder, {}, 1.0)
    os.utime(folder / ("error.txt" if error else "metrics.json"), (ended, ended))


def test_the_time_left_is_of_the_jobs_that_were_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress.total, progress.started = 6, 1000.0
    job(tmp_path / "of an earlier sweep", 500.0, 600.0)
    job(tmp_path / "skipped", 1001.0, 600.0)
    (tmp_path / "sweep.csv").touch()
    assert progress.line(tmp_path, 1001.0) == "1 of 6 jobs done"
    job(tmp_path / "trained", 1010.0, 1100.0)
    job(tmp_path / "failed", 1100.0, 1200.0, error="of its own")
    job(tmp_path / "being trained", 1200.0)
    assert progress.line(tmp_path, 1210.0) == "3 of 6 jobs done, about 05:00 left"

    for name in ("trained", "being trained", "not begun"):
        config = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(tmp_path / name)}}})
        progress.on_job_end(config, JobReturn())
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1
    assert printed[0].startswith("3 of 6 jobs done, about ")

    job(tmp_path / "last", 1200.0, 1300.0)
    progress.total = 4
    assert progress.line(tmp_path, 1310.0) == "4 of 4 jobs done"
    progress.total = None
    assert progress.line(tmp_path, 1310.0) == "4 jobs done"


@pytest.mark.parametrize(
    ("overrides", "threads"),
    [
        (["hydra/launcher=submitit_local", "seed=0,1,2"], "2"),
        (["hydra/launcher=submitit_local", "seed=range(0,40)"], "1"),
        (["hydra/launcher=submitit_local", "seed=range(0,40)", "hydra.sweeper.max_batch_size=4"], "2"),
        (["hydra/launcher=submitit_slurm", "seed=0,1,2"], None),
        (["hydra/launcher=ray", "seed=0,1,2"], None),
        (["seed=0,1,2"], None),
    ],
)
def test_jobs_that_start_at_once_share_the_cores(
    overrides: list[str], threads: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "submitit" in overrides[0]:
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    monkeypatch.setenv(progress.THREADS, "7")  # put back at the end
    monkeypatch.setattr(progress, "cpu_count", lambda: 8)
    with initialize(version_base="1.3", config_path="../../conf"):
        config = GlobalHydra.instance().config_loader().load_configuration("train", overrides, RunMode.MULTIRUN)
        Progress().on_multirun_start(config)
        assert os.environ[progress.THREADS] == "7", "as the user said"
        del os.environ[progress.THREADS]
        Progress().on_multirun_start(config)
    assert os.environ.get(progress.THREADS) == threads
