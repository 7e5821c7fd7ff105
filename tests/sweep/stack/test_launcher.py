"""``hydra/launcher=stacked``: which jobs it stacks, how it is resumed after a stop, and that it does what others do."""

from __future__ import annotations

import csv
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from partae import AutoEncoder
from partae.data.synthetic import Bars
from partae.run.run_folder import measures_of
from partae.saving import checkpoints
from partae.sweep.stack import Stack, launcher
from tests.command_line import Outcome, type_in
from tests.run.killing import differences, in_a_process

TINY = ["-m", "data=bars", "data.source.train_size=250", "data.source.test_size=50", "data.val_size=50"]
TINY += ["data.batch_size=40", "latent_dim=6", "trainer.max_epochs=2", "trainer.accelerator=cpu", "quiet=true"]
TINY += ["~callbacks.gallery", "~hydra.callbacks.summary"]  # which load models for their pictures
TINY += ["hydra/launcher=stacked", "hydra.launcher.compiled=false"]
MASKED = ["encoder.hidden=[8]", "encoder.batch_norm=true", "corruption=masking"]
REVIVED = ["callbacks=revival", "callbacks.revival.until=1", "callbacks.revival.share=0.9"]


def sweep(folder: Path, *overrides: str) -> Outcome:
    """Run a sweep of small jobs in ``folder``."""
    return type_in("train.py", [*TINY, *overrides, f"hydra.sweep.dir={folder}"], folder.parent)


def measures(folder: Path) -> dict[str, dict[str, float]]:
    """The measures of all finished jobs of a sweep, by the names of their folders."""
    found = {file.parent.name: measures_of(file.parent) for file in folder.glob("*/metrics.json")}
    return {name: {key: value for key, value in job.items() if key != "wall_time"} for name, job in found.items()}


def stop_in_epoch_1(monkeypatch: pytest.MonkeyPatch, end: Any) -> None:
    """Call ``end`` before a batch in the middle of epoch 1 of a stack."""
    step = Stack.training_step

    def interrupted_step(stack: Stack, batch: Any, batch_idx: int) -> dict[str, torch.Tensor]:
        if (stack.current_epoch, batch_idx) == (1, 3):
            end()
        return step(stack, batch, batch_idx)

    monkeypatch.setattr(Stack, "training_step", interrupted_step)


def test_each_job_is_built_once_and_each_image_and_checkpoint_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["seed=0,1", "sparsity.beta=0.1,0.2"]
    counts: Counter[str] = Counter()

    def count(owner: Any, name: str, key: Any) -> None:
        function = getattr(owner, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            counts[key(*arguments)] += 1
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)

    with monkeypatch.context() as patched:
        stop_in_epoch_1(patched, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert sweep(tmp_path / "sweep", *overrides).status == 128 + signal.SIGTERM
    count(AutoEncoder, "__init__", lambda *_: "model")
    count(launcher, "build_job", lambda *_: "job")
    count(Bars, "load", lambda _, split: f"{split} images")
    count(checkpoints, "read", str)
    assert sweep(tmp_path / "sweep", *overrides).status == 0
    assert {key: counts.pop(key) for key in ("model", "job", "train images", "test images")} == {
        "model": 4,
        "job": 4,
        "train images": 1,
        "test images": 1,
    }
    assert len(counts) == 4  # the last checkpoint of each job
    assert set(counts.values()) == {1}
    assert len(measures(tmp_path / "sweep")) == 4


@pytest.mark.slow
def test_jobs_that_differ_in_more_than_numbers_are_in_other_stacks_or_alone(tmp_path: Path) -> None:
    varied = sweep(tmp_path / "varied", "latent_dim=6,7", "seed=0,1", "trainer.max_epochs=1")
    assert varied.err.count("Training 2 models as one stack") == 2
    assert len(measures(tmp_path / "varied")) == 4
    alone = sweep(
        tmp_path / "alone", "callbacks=default,dense_sparse_dense", "sparsity.p=0.1,1.5", "trainer.max_epochs=1"
    )
    assert alone.err.count("runs alone: callback DenseSparseDense may change") == 1
    assert alone.err.count("failed: sparsity.p must be") == 2
    assert len(measures(tmp_path / "alone")) == 2


@pytest.mark.parametrize(
    ("error", "sizes", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), [3, 1, 1, 1], "Memory does not hold 3 models: stacks of 1"),
        (RuntimeError("broken"), [3], "A stack of 3 models stopped; they run one by one: broken"),
    ],
)
def test_a_stack_that_stops_is_halved_if_memory_is_short_and_runs_one_by_one_else(
    error: Exception, sizes: list[int], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    start = Stack.on_fit_start

    def fail(stack: Any) -> None:
        found.append(len(stack.members))
        if len(stack.members) > 1:
            raise error
        start(stack)

    monkeypatch.setattr(Stack, "on_fit_start", fail)
    outcome = sweep(tmp_path / "sweep", "seed=0,1,2", "trainer.max_epochs=1")
    assert outcome.status == 0
    assert message in outcome.err
    assert found == sizes
    assert len(measures(tmp_path / "sweep")) == 3


def test_no_stack_starts_after_a_failure_with_fail_fast(tmp_path: Path) -> None:
    outcome = sweep(tmp_path / "sweep", "latent_dim=6,7", "optimizer.lr=1e30", "fail_fast=true")
    assert outcome.err.count("failed: training diverged") == 1


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(["optimizer.lr=0.001,0.1"], id="plain"),
        pytest.param([*MASKED, *REVIVED, "seed=0,1"], id="batch norm, masks and revival", marks=pytest.mark.slow),
    ],
)
def test_a_killed_sweep_goes_on_bit_for_bit_and_skips_what_is_finished(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert in_a_process(lambda: sweep(undisturbed, *overrides)) == 0
    with monkeypatch.context() as patched:
        stop_in_epoch_1(patched, lambda: os.kill(os.getpid(), signal.SIGKILL))
        assert in_a_process(lambda: sweep(killed, *overrides)) == -signal.SIGKILL
    assert not measures(killed)
    outcome = sweep(killed, *overrides)
    assert "Training 2 models as one stack" in outcome.err
    assert measures(killed) == measures(undisturbed)
    for name in measures(killed):
        one, other = (checkpoints.read(folder / name / "checkpoints" / "last.ckpt") for folder in (undisturbed, killed))
        assert one["epoch"] == 1
        assert differences(one, other) == []
    assert "Training" not in sweep(killed, *overrides).err


def test_jobs_in_different_epochs_are_in_different_stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        stop_in_epoch_1(patched, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert sweep(tmp_path / "sweep", "seed=0").status == 128 + signal.SIGTERM
    outcome = sweep(tmp_path / "sweep", "seed=0,1")
    assert outcome.status == 0
    assert "as one stack" not in outcome.err
    assert len(measures(tmp_path / "sweep")) == 2


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def test_seeds_draw_the_masks_that_they_would_draw_alone(tmp_path: Path) -> None:
    overrides = [*MASKED, "seed=0,1"]
    assert "Training 2 models as one stack" in sweep(tmp_path / "stacked", *overrides).err
    alone = [each for each in [*TINY, *overrides] if "launcher" not in each]
    assert type_in("train.py", [*alone, f"hydra.sweep.dir={tmp_path / 'alone'}"], tmp_path).status == 0
    ours, theirs = measures(tmp_path / "stacked"), measures(tmp_path / "alone")
    assert len(ours) == 2
    for name, expected in theirs.items():
        assert ours[name] == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "status", "tolerance"),
    [
        (["trainer.max_epochs=3", "optimizer.lr=0.01,1e30"], 1, 1e-3),  # the second diverges
        (["data=fashion_mnist", "latent_dim=20", "data.val_size=50000", "svm=quick", "~callbacks.gallery"], 0, 0.01),
    ],
)
def test_a_stacked_sweep_leaves_what_an_ordinary_one_leaves(
    options: list[str], status: int, tolerance: float, tmp_path: Path
) -> None:
    grid = ["-m", "data=bars", "latent_dim=16", "data.batch_size=100", "trainer.max_epochs=3", "quiet=true"]
    grid += ["sparsity.beta=0.001,0.1", "sparsity.p=0.1,0.2"]
    for name in ("basic", "stacked"):
        command = [*grid, *options, f"hydra/launcher={name}", f"hydra.sweep.dir={name}"]
        assert type_in("train.py", command, tmp_path).status == status
    ours, theirs = rows(tmp_path / "stacked"), rows(tmp_path / "basic")
    assert len(ours) == len(theirs) > 0
    assert ["failed" in row["status"] for row in ours] == ["1e+30" in row.get("optimizer.lr", "") for row in ours]
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            if "/" in key and one[key] != other[key]:
                assert float(one[key]) == pytest.approx(float(other[key]), rel=tolerance, abs=1e-6), key
            elif key != "wall_time":
                assert one[key] == other[key]
    files = [Counter(_names(tmp_path / name)) for name in ("stacked", "basic")]
    assert files[0] == files[1]


def _names(folder: Path) -> list[str]:
    """All files of a sweep; those of TensorBoard without the time in their names."""
    return [str(file.relative_to(folder)).partition("tfevents")[0] for file in folder.rglob("*")]


@pytest.mark.slow
def test_a_stack_in_mixed_precision_measures_in_single_precision(tmp_path: Path) -> None:
    """With a learning rate of 0, both stacks measure the same models."""
    for precision in ("32-true", "bf16-mixed"):
        assert sweep(tmp_path / precision, "seed=0,1", f"trainer.precision={precision}", "optimizer.lr=0").status == 0
    single, mixed = (sorted(measures(tmp_path / name).items()) for name in ("32-true", "bf16-mixed"))
    assert len(single) == 2
    for (_, expected), (_, found) in zip(single, mixed, strict=True):
        assert found == {key: pytest.approx(expected[key], rel=1e-6) for key in expected}
