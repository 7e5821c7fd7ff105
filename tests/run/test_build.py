from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from partae import AutoEncoder
from partae.data import Bars, DataModule
from partae.run import resolvers
from partae.run.build import Job, build_job
from partae.run.job import run_job
from tests.conftest import Compose

BARS = ["data=bars", "data.source.train_size=60", "data.source.test_size=20", "data.val_size=20", "latent_dim=4"]


def test_a_job_builds_each_of_its_objects_once(
    composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = OmegaConf.create(
        {"mode": RunMode.RUN, "overrides": {"task": [], "hydra": []}, "job": {"num": 0}, "sweeper": {}}
    )
    monkeypatch.setattr(HydraConfig, "get", lambda: own)
    resolvers._sources.clear()
    built: Counter[str] = Counter()

    def count(kind: type) -> None:
        initialize = kind.__init__  # type: ignore[misc]

        @functools.wraps(initialize)
        def counted(self: object, *args: Any, **options: Any) -> None:
            built[kind.__name__] += 1
            initialize(self, *args, **options)

        monkeypatch.setattr(kind, "__init__", counted)

    for kind in (AutoEncoder, Bars, DataModule, TensorBoardLogger, Trainer):
        count(kind)
    run_job(composed(*BARS, "trainer.max_epochs=1", "trainer.accelerator=cpu", "quiet=true"), tmp_path)
    assert built == dict.fromkeys(("AutoEncoder", "Bars", "DataModule", "TensorBoardLogger", "Trainer"), 1)


def test_a_logger_that_lives_as_long_as_its_process_is_closed_with_its_job() -> None:
    calls: list[str] = []

    class Lasting(CSVLogger):
        def finalize(self, status: str) -> None:
            calls.append(status)

    logger = Lasting("nowhere")
    job = cast("Job", SimpleNamespace(loggers=[logger]))
    Job.close(job, "success")  # it has not begun to write
    logger._experiment = SimpleNamespace(finish=lambda: calls.append("finished"))  # type: ignore[assignment]
    Job.close(job, "failed")
    assert calls == ["success", "failed", "finished"]


@pytest.mark.parametrize("without", ["callbacks.progress=null", "+trainer.enable_progress_bar=false"])
def test_a_progress_bar_can_be_left_out(without: str, composed: Compose, tmp_path: Path) -> None:
    assert build_job(composed(*BARS), tmp_path).trainer.progress_bar_callback is not None
    assert build_job(composed(*BARS, without), tmp_path).trainer.progress_bar_callback is None
