"""What each choice of logger= is given: losses, measures, hyper-parameters, and pictures where it shows them."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, WandbLogger

from partae import figures
from partae.callbacks.gallery import show
from partae.checks import InputError
from partae.run.build import build_job
from tests.command_line import ROOT
from tests.conftest import BARS, Compose, Run
from tests.docs.shown import in_a_process
from tests.events import logged, pictures
from tests.test_train import MEASURES

GIVEN = {f"{split}/loss" for split in ("train", "val")} | {
    f"{split}/{key}" for split in ("val", "test") for key in MEASURES
}


def test_several_loggers_are_given_the_same(run: Run, tmp_path: Path) -> None:
    run("logger=[csv,tensorboard]", "callbacks.gallery.every_n_epochs=1")
    folder = tmp_path / "run"
    (file,) = folder.rglob("metrics.csv")
    last: dict[str, float] = {}
    for row in csv.DictReader(file.read_text().splitlines()):
        last |= {key: float(value) for key, value in row.items() if value and key != "step"}
    shown = logged(folder)
    assert shown.keys() >= GIVEN
    assert last == {key: pytest.approx(shown[key]) for key in last}
    assert last.keys() >= GIVEN
    assert pictures(folder) == {"atoms", "images"}
    for hparams in (folder / "hparams.yaml", file.with_name("hparams.yaml")):
        assert yaml.safe_load(hparams.read_text())["sparsity"] == "KL"


def without_its_package(kind: type[Logger], **attributes: Any) -> Any:
    logger = kind.__new__(kind)
    vars(logger).update(attributes)
    return logger


def test_a_picture_goes_to_each_logger_in_its_own_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figure, taken = Figure(), []
    monkeypatch.setattr(WandbLogger, "log_image", lambda _, *image: taken.append(image))
    client = SimpleNamespace(log_figure=lambda *image: taken.append(image))
    monkeypatch.setattr(MLFlowLogger, "experiment", client)
    show(without_its_package(WandbLogger), "atoms", figure, 3)
    show(without_its_package(MLFlowLogger, _run_id="run"), "atoms", figure, 3)
    show(CSVLogger(tmp_path), "atoms", figure, 3)  # shows none
    assert taken == [("atoms", [figure], 3), ("run", figure, "atoms/00000003.png")]


def test_wandb_takes_a_figure_of_partae_for_one_of_matplotlib() -> None:
    wandb = pytest.importorskip("wandb")
    assert wandb.Image(figures.atoms(np.ones((2, 1, 4, 4)))).image.width > 50


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_whose_package_is_missing_says_how_to_install_it(
    name: str, composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=rf"logger={name} needs {name}: pip install 'partae\[{name}\]'"):
        build_job(composed(*BARS, f"logger={name}"), tmp_path)


SWEEP = [
    "-m",
    *BARS,
    "seed=0,1,2",
    "trainer.max_epochs=1",
    "callbacks.gallery.every_n_epochs=1",
    "hydra.sweep.dir=sweep",
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of MLflow's own dependencies
def test_each_job_of_a_sweep_is_a_closed_run_of_mlflow(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    in_a_process([sys.executable, str(ROOT / "train.py"), *SWEEP, "logger=mlflow", "name=three"], tmp_path)
    client = mlflow.tracking.MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("three").experiment_id])
    assert sorted(run.data.params["seed"] for run in runs) == ["0", "1", "2"]
    assert {run.info.run_name for run in runs} == {folder.name for folder in (tmp_path / "sweep").glob("*/")}
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.metrics.keys() >= GIVEN
        assert list((tmp_path / "mlruns").glob(f"*/{run.info.run_id}/artifacts/atoms/*.png"))


@pytest.mark.slow
def test_each_job_of_a_sweep_is_a_closed_run_of_wandb(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    overrides = ["logger=wandb", "logger.wandb.offline=true"]
    in_a_process([sys.executable, str(ROOT / "train.py"), *SWEEP, *overrides], tmp_path)
    folders = list((tmp_path / "sweep").glob("*/wandb/offline-run-*"))
    assert len(folders) == 3
    for folder in folders:
        (file,) = folder.glob("*.wandb")
        content = file.read_bytes()
        assert [key for key in (*GIVEN, "sparsity.beta") if key.encode() not in content] == []
        assert "finishing run" in (folder / "logs" / "debug.log").read_text()
        assert {picture.name.split("_")[0] for picture in folder.rglob("*.png")} == {"atoms", "images"}
