from __future__ import annotations

import os
from pathlib import Path

import pytest
from hydra import initialize
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn
from hydra.types import RunMode
from omegaconf import OmegaConf

from partae.run.folder import fail, finish
from partae.sweep.progress import Progress, number_of_jobs


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
    with initialize(version_base="1.3", config_path="../../conf"):
        loader = GlobalHydra.instance().config_loader()
        assert number_of_jobs(loader.load_configuration("train", overrides, RunMode.MULTIRUN).hydra) == jobs


def job(folder: Path, begun: float, ended: float | None = None, error: str = "") -> None:
    """A job's folder, with times in seconds since the epoch."""
    begin = folder / ".hydra" / "hydra.yaml"
    begin.parent.mkdir(parents=True)
    begin.touch()
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
