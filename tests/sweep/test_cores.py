from __future__ import annotations

import os

import pytest
from hydra import initialize
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from partae.sweep import cores
from partae.sweep.progress import Progress


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
    monkeypatch.setenv(cores.THREADS, "7")  # put back at the end
    monkeypatch.setattr(cores, "cpu_count", lambda: 8)
    with initialize(version_base="1.3", config_path="../../conf"):
        config = GlobalHydra.instance().config_loader().load_configuration("train", overrides, RunMode.MULTIRUN)
        Progress().on_multirun_start(config)
        assert os.environ[cores.THREADS] == "7", "as the user said"
        del os.environ[cores.THREADS]
        Progress().on_multirun_start(config)
    assert os.environ.get(cores.THREADS) == threads
