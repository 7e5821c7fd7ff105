"""A run that is killed and resumed is the run that never stopped."""

from __future__ import annotations

import json
import os
import signal
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from pytorch_lightning import LightningModule
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from partae.callbacks import Checkpoint
from partae.saving.checkpoints import read
from tests.conftest import YAMLS
from tests.run.killing import RUN, SILENT, TINY, Kill, KillAtSaving, KillAtTest, KillAtWriting, differences, trained

# what is drawn at random in training, and what is found out in one epoch for the next
DRAWN = [*TINY, "latent_dim=6", "sparsity=l1", "sparsity.beta=0.01", "encoder.activation=relu", "corruption=gaussian"]
DRAWN += ["callbacks=revival", "callbacks.revival.until=1", "callbacks.revival.frequency=0.9", "trainer.max_epochs=4"]
DRAWN += SILENT
SAMPLED = [*TINY, "latent_dim=6", "model=sparse_rbm", "trainer.max_epochs=4", *SILENT]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never stopped."""
    folder = tmp_path_factory.mktemp("straight")
    assert trained(folder) == 0
    return folder


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a run: the steps of each tag, with the values of scalars."""
    accumulator = EventAccumulator(str(folder), {"images": 0, "histograms": 0, "scalars": 0}).Reload()
    tags = cast("dict[str, list[str]]", accumulator.Tags())
    shown = {tag: [(event.step, event.value) for event in accumulator.Scalars(tag)] for tag in tags["scalars"]}
    shown |= {tag: [(event.step, 0.0) for event in accumulator.Images(tag)] for tag in tags["images"]}
    return shown | {tag: [(event.step, 0.0) for event in accumulator.Histograms(tag)] for tag in tags["histograms"]}


def measures(folder: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / "metrics.json").read_text())
    assert found.pop("wall_time") > 0
    return found


KILLS = [Kill(2, 3), Kill(2, 0), Kill(3, 4), KillAtSaving(2, 0), KillAtTest(0, -1)]
KILLS += [KillAtSaving(3, 1), KillAtWriting(2, 0)]  # between the best and the last checkpoint; and within one
SLOW = [pytest.param(kill, marks=pytest.mark.slow) for kill in KILLS[1:]]


@pytest.mark.parametrize("kill", [KILLS[0], *SLOW], ids=lambda kill: f"{type(kill).__name__}-{kill.epoch}-{kill.batch}")
def test_a_killed_run_goes_on_bit_for_bit(kill: Kill, straight: Path, tmp_path: Path) -> None:
    assert trained(tmp_path, kill) == -signal.SIGKILL
    assert not (tmp_path / "metrics.json").exists()
    time.sleep(1)  # TensorBoard reads files in the order of their names, which have seconds in them
    assert trained(tmp_path) == 0
    assert {file.name for file in (tmp_path / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    for name in ("last.ckpt", "best.ckpt"):
        one, other = (read(folder / "checkpoints" / name) for folder in (straight, tmp_path))
        assert differences(one, other) == []
        assert one["optimizer_states"]
        assert one["lr_schedulers"]
        assert any("DenseSparseDense" in key for key in one["callbacks"])
    assert measures(tmp_path) == measures(straight)
    assert events(tmp_path) == events(straight)
    assert [step for step, _ in events(tmp_path)["train/loss"]] == [4, 9, 14, 19]


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(DRAWN, id="noise and revival"),
        pytest.param([*DRAWN, "corruption=masking"], id="masks and revival", marks=pytest.mark.slow),
        pytest.param(SAMPLED, id="Gibbs sampling", marks=pytest.mark.slow),
    ],
)
def test_what_is_drawn_after_a_kill_is_what_would_have_been_drawn(run: list[str], tmp_path: Path) -> None:
    for name, kill in (("straight", None), ("killed", Kill(2, 3)), ("killed", None)):
        assert trained(tmp_path / name, kill, run=run) == (-signal.SIGKILL if kill else 0)
    one, other = (read(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("straight", "killed"))
    assert differences(one, other) == []
    if run is not SAMPLED:
        (revival,) = [state for key, state in one["callbacks"].items() if "Revival" in key]
        assert len(revival["dead"])
    assert measures(tmp_path / "killed") == measures(tmp_path / "straight")


BARS = [*TINY, "latent_dim=6", "trainer.max_epochs=2", *SILENT]
# what a choice needs, to be one that can be trained and has something to do in two epochs
NEEDED: dict[tuple[str, str], list[str]] = {
    ("sparsity", "intrinsic_plasticity"): ["encoder.activation=logistic"],
    ("sparsity", "l0"): ["encoder/activation=jump_relu"],
    ("encoder/activation", "topk"): ["sparsity=none"],
    ("encoder/activation", "batch_topk"): ["sparsity=none", "encoder.activation.l0=2"],
    ("encoder/activation", "jump_relu"): ["sparsity=l1"],
    ("encoder", "matching_pursuit"): ["sparsity=none", "decoder.biased=false", "encoder.l0=2"],
    ("encoder", "unrolled"): ["encoder.activation=sigmoid"],
    ("reconstruction", "bce"): ["decoder.activation=sigmoid"],
    ("callbacks", "dense_sparse_dense"): ["callbacks.pruning.begin=0", "callbacks.pruning.end=2"],
    ("callbacks", "revival"): ["callbacks.revival.until=1", "callbacks.revival.frequency=0.9"],
    ("constraint", "hoyer"): ["constraint.hoyer.bias=true"],
    ("constraint", "unit_norm"): ["constraint.unit_norm.bias=true"],
}
# others: images and devices that are not here, no logger or one that is not here, no checkpoints, and estimators, which
# learn in one step
ALIKE = {("trainer", name) for name in ("ddp", "gpu", "mps")} | {("callbacks", "none")}
ALIKE |= {("logger", name) for name in ("none", "mlflow", "wandb")}
ALIKE |= {*((group, name) for group, name in YAMLS if group == "data")}
ESTIMATORS = ("dictionary_learning", "factorization", "fastica", "kmeans", "nmf", "pca", "sparse_nmf")
ALIKE |= {("model", name) for name in ESTIMATORS}
QUICK = {("constraint", "hoyer"), ("constraint", "unit_norm")}


@pytest.mark.parametrize(
    ("group", "name"),
    [
        pytest.param(*choice, marks=() if choice in QUICK else pytest.mark.slow)
        for choice in YAMLS
        if choice not in ALIKE
    ],
)
def test_a_killed_run_of_any_choice_goes_on_bit_for_bit(group: str, name: str, tmp_path: Path) -> None:
    run = [*BARS, f"{group}={name}", *NEEDED.get((group, name), [])]
    for folder, kill in (("straight", None), ("killed", Kill(1, 0)), ("killed", None)):
        assert trained(tmp_path / folder, kill, run=run) == (-signal.SIGKILL if kill else 0)
    one, other = (read(tmp_path / folder / "checkpoints" / "last.ckpt") for folder in ("straight", "killed"))
    assert differences(one, other) == []


def test_a_run_that_was_moved_remembers_its_best_checkpoint(tmp_path: Path) -> None:
    run = [*RUN, "callbacks.checkpoint.monitor=val/dead_atoms"]  # the same in each epoch: the first remains the best
    run += ["callbacks.checkpoint.filename='{epoch}-{val/loss:.3f}'"]  # which lies in a folder, by its slash
    assert trained(tmp_path / "straight", run=run) == 0
    assert trained(tmp_path / "killed", Kill(3, 1), run=run) == -signal.SIGKILL
    (tmp_path / "killed").rename(tmp_path / "moved")
    assert trained(tmp_path / "moved", run=run) == 0
    (one,), (other,) = ((tmp_path / name / "checkpoints").glob("*/*.ckpt") for name in ("straight", "moved"))
    assert read(one)["epoch"] == read(other)["epoch"] == 0
    assert differences(read(one), read(other)) == []


def test_what_a_gpu_draws_goes_on_too(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"before": torch.arange(4, dtype=torch.uint8)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda _: states["before"])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: states.update({str(device): state}))
    callback = Checkpoint()
    callback.started = 0.0
    gpu = SimpleNamespace(root_device=torch.device("cuda", 1))
    trainer: Any = SimpleNamespace(strategy=gpu, loggers=[], callback_metrics={})
    model = LightningModule()  # which is on the CPU still when its checkpoint is read
    checkpoint: dict[str, Any] = {}
    callback.on_save_checkpoint(trainer, model, checkpoint)
    callback.on_load_checkpoint(trainer, model, checkpoint)
    assert states["cuda:1"].equal(states["before"])


def test_a_truncated_last_checkpoint_is_replaced_when_the_run_goes_on(straight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    assert trained(tmp_path, Kill(3, 1)) == -signal.SIGKILL
    os.truncate(folder / "last.ckpt", 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the process that trains, where it would be an error
        assert trained(tmp_path) == 0
    one, other = (read(place / "last.ckpt") for place in (straight / "checkpoints", folder))
    assert differences(one, other) == []
    assert measures(tmp_path) == measures(straight)
