"""Whole runs on the device: training with pictures and checkpoints, resume, evaluation and export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import partae
from partae.files import LAST
from partae.run.training import train
from partae.saving.checkpoints import read
from partae.sweep.evaluation import evaluate
from tests.conftest import Compose
from tests.cuda.device import CUDA, Device

DATA = ["data=bars", "data.source.size=8", "data.source.train_size=60", "data.source.test_size=20", "data.val_size=20"]
# a tensor of the pretended device cannot be one of inference mode
RUN = [*DATA, "data.batch_size=20", "latent_dim=4", "trainer.accelerator=gpu", "+trainer.inference_mode=false"]
RUN += ["quiet=true", "schedule=constant"]


REVIVED = ["corruption=gaussian", "callbacks=revival", "callbacks.revival.until=1", "callbacks.revival.frequency=0.9"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(read(folder / "checkpoints" / LAST)["state_dict"])


@pytest.mark.slow
def test_a_run_with_pictures_is_evaluated_and_exported(
    composed: Compose, device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = ["trainer.max_epochs=2", "callbacks.gallery.every_n_epochs=1", "svm=quick", "approximation=dilation"]
    measures = train(composed(*RUN, *often), tmp_path / "run")
    assert 0 < measures["test/reconstruction_error"] < 1
    move = nn.Module.to
    # PyTorch itself would ask the driver which GPU "cuda" is
    monkeypatch.setattr(nn.Module, "to", lambda model, place: move(model, CUDA if place == "cuda" else place))
    options = [
        f"ckpt={tmp_path / 'run'}",
        "svm=quick",
        "operators=[dilation:1,opening:1]",
        "quiet=true",
        "export=safetensors",
    ]
    options += DATA
    device.counts.launches.clear()
    found = evaluate(composed(*options, config="evaluate"))
    assert device.counts.launches
    (evaluated,) = found.measures.values()
    for name in ("test/reconstruction_error", "test/max_approximation_error", "test/svm_accuracy"):
        assert evaluated[name] == pytest.approx(measures[name], rel=1e-4)
    (file,) = found.exports
    assert partae.load(file).atoms.equal(partae.load(tmp_path / "run").atoms)


@pytest.mark.parametrize("lines", [["pca"], ["sparse_nmf", "model.estimator.max_iter=3", "model.estimator.tol=0"]])
def test_a_factorization_has_the_measures_of_the_cpu(
    lines: list[str], composed: Compose, device: Device, tmp_path: Path
) -> None:
    model, *options = lines
    both = []
    for accelerator in ("gpu", "cpu"):
        cfg = composed(*RUN, f"model={model}", *options, f"trainer.accelerator={accelerator}", "~callbacks.gallery")
        cfg.callbacks.checkpoint.dirpath = str(tmp_path / accelerator)
        both.append(train(cfg, tmp_path / accelerator))
    assert both[0] == pytest.approx(both[1], rel=1e-4)


@pytest.mark.parametrize("lines", [REVIVED, ["model=sparse_rbm"]])
def test_a_resumed_run_draws_on_the_device_as_if_it_had_not_stopped(
    lines: list[str], composed: Compose, device: Device, tmp_path: Path
) -> None:
    def go_on(folder: str, epochs: int) -> dict[str, Any]:
        cfg = composed(*RUN, *lines, "~callbacks.gallery", f"trainer.max_epochs={epochs}")
        cfg.callbacks.checkpoint.dirpath = str(tmp_path / folder / "checkpoints")
        train(cfg, tmp_path / folder)
        return weights(tmp_path / folder)

    straight = go_on("straight", 3)
    go_on("stopped", 1)
    device.seed(99)
    torch.manual_seed(99)
    resumed = go_on("stopped", 3)
    for name, tensor in straight.items():
        assert resumed[name].equal(tensor), name
