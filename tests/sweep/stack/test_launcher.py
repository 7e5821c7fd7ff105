"""``hydra/launcher=stacked``: its groups, its way out when memory is short, and its sweeps against ordinary ones."""

from __future__ import annotations

import csv
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

import partae
from partae.saving.checkpoints import read
from partae.sweep.stack import Stack
from partae.sweep.stack.launcher import Entry, grouped, train_stacks, worth_compiling
from tests.conftest import Compose
from tests.run.test_resume import differences, in_a_process

ROOT = Path(__file__).parents[3]
SMALL = ["data=bars", "latent_dim=8", "data.batch_size=500", "trainer.accelerator=cpu"]
SMALL += ["+trainer.enable_progress_bar=false", "~callbacks.progress", "~callbacks.gallery"]
Enlist = Callable[..., Entry]


@pytest.fixture
def enlisted(composed: Compose, tmp_path: Path) -> Enlist:
    """Jobs of a small sweep, each into a folder of its own."""
    numbers = itertools.count()

    def enlist(*overrides: str, epochs: int = 2) -> Entry:
        folder = tmp_path / f"job_{next(numbers)}"
        places = [f"callbacks.checkpoint.dirpath={folder}/checkpoints", f"logger.save_dir={folder}"]
        cfg: DictConfig = composed(*SMALL, *places, f"trainer.max_epochs={epochs}", *overrides)
        shared = str([cfg[group] for group in ("data", "constraint")])
        return Entry(folder, cfg, shared, epochs)

    return enlist


def test_jobs_that_differ_in_numbers_are_stacked_and_others_are_not(
    enlisted: Enlist, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = [enlisted("sparsity.beta=0.1", "sparsity.p=0.3"), enlisted("seed=3", "optimizer.lr=0.1")]
    wider = [enlisted("latent_dim=9"), enlisted("latent_dim=9", "seed=1")]
    others = [enlisted("sparsity=l2"), enlisted("data.batch_size=400"), enlisted("encoder.hidden=[9]")]
    others += [enlisted("constraint=none"), enlisted("optimizer=adadelta")]
    alone = [enlisted("sparsity=intrinsic_plasticity"), enlisted("+trainer.gradient_clip_val=1")]
    impossible = enlisted("sparsity.p=1.5")
    groups = grouped([*numbers, *wider, *others, *alone, impossible])
    assert groups == [numbers, wider, *([job] for job in others)]
    first, second = capsys.readouterr().err.splitlines()
    assert "runs alone: IntrinsicPlasticity adapts itself" in first
    assert "runs alone: trainer.gradient_clip_val" in second


def test_a_stack_that_memory_does_not_hold_is_halved(
    enlisted: Enlist, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [enlisted(f"seed={seed}") for seed in range(5)]
    sizes = []
    setup = Stack.on_fit_start

    def short(stack: Any) -> None:
        sizes.append(len(stack.members))
        if len(stack.members) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        setup(stack)

    monkeypatch.setattr(Stack, "on_fit_start", short)
    assert train_stacks(jobs, None, compiled=False) == {}
    assert sizes == [5, 2, 1, 1, 1, 1, 1]
    told = capsys.readouterr().err
    assert "Memory does not hold 5 models at once: stacks of 2 now" in told
    assert "Memory does not hold 2 models at once: stacks of 1 now" in told
    assert all((job.folder / "checkpoints" / "last.ckpt").exists() for job in jobs)


def test_a_stack_goes_on_from_its_members_checkpoints_as_if_it_had_not_stopped(enlisted: Enlist) -> None:
    options = ["sparsity.beta=0.1", "optimizer.lr=0.1"]
    undisturbed = [enlisted("schedule=constant", epochs=4), enlisted(*options, "schedule=constant", epochs=4)]
    train_stacks(undisturbed, None, compiled=False)
    stopped = [enlisted("schedule=constant"), enlisted(*options, "schedule=constant")]
    train_stacks(stopped, None, compiled=False)
    for job in stopped:
        job.cfg.trainer.max_epochs = job.max_epochs = 4
    assert grouped(stopped) == [stopped]
    train_stacks(stopped, None, compiled=False)
    assert grouped(stopped) == []
    for one, other in zip(undisturbed, stopped, strict=True):
        assert partae.load(one.folder).atoms.equal(partae.load(other.folder).atoms)


def test_a_stack_that_is_killed_goes_on_bit_for_bit(enlisted: Enlist, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed, killed = ([enlisted("seed=1"), enlisted("optimizer.lr=0.1")] for _ in range(2))
    step = Stack.training_step

    def kill(stack: Stack, batch: Any, batch_idx: int) -> torch.Tensor:
        if (stack.current_epoch, batch_idx) == (1, 3):
            os.kill(os.getpid(), signal.SIGKILL)
        return step(stack, batch, batch_idx)

    assert in_a_process(lambda: train_stacks(undisturbed, None, compiled=False)) == 0
    with monkeypatch.context() as patched:
        patched.setattr(Stack, "training_step", kill)
        assert in_a_process(lambda: train_stacks(killed, None, compiled=False)) == -signal.SIGKILL
    assert grouped(killed) == [killed]
    assert in_a_process(lambda: train_stacks(killed, None, compiled=False)) == 0
    for jobs in zip(undisturbed, killed, strict=True):
        one, other = (read(job.folder / "checkpoints" / "last.ckpt") for job in jobs)
        assert one["epoch"] == 1
        assert differences(one, other) == []


def test_members_that_came_differently_far_are_different_stacks(enlisted: Enlist) -> None:
    jobs = [enlisted(f"seed={seed}") for seed in range(3)]
    jobs[0].max_epochs = jobs[0].cfg.trainer.max_epochs = 1
    train_stacks(jobs[:1], None, compiled=False)
    jobs[0].max_epochs = jobs[0].cfg.trainer.max_epochs = 2
    assert grouped(jobs) == [jobs[:1], jobs[1:]]


def test_a_long_training_is_worth_compiling(composed: Compose) -> None:
    small, large = (instantiate(composed(f"latent_dim={width}").model) for width in (10, 1000))
    assert not worth_compiling(small, 32 * 1000)
    assert worth_compiling(large, 32 * 60_000 * 50)


SWEEP = ["-m", "data=bars", "latent_dim=16", "data.batch_size=100", "sparsity.beta=0.001,0.1", "sparsity.p=0.1,0.2"]


def sweep(folder: Path, *more: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), *SWEEP, *more, f"hydra.sweep.dir={folder}"]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def assert_alike(ours: list[dict[str, str]], theirs: list[dict[str, str]], rel: float) -> None:
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            if "/" in key and one[key] != other[key]:
                assert float(one[key]) == pytest.approx(float(other[key]), rel=rel, abs=1e-6), key
            elif key != "wall_time":
                assert one[key] == other[key]


@pytest.mark.slow
def test_a_stacked_sweep_leaves_what_an_ordinary_one_leaves(tmp_path: Path) -> None:
    options = ["trainer.max_epochs=3", "optimizer.lr=0.01,1e30"]  # of which the second diverges
    codes = [
        subprocess.run(sweep(tmp_path / name, f"hydra/launcher={name}", *options), check=False, cwd=tmp_path).returncode
        for name in ("basic", "stacked")
    ]
    assert codes == [1, 1]
    assert_alike(rows(tmp_path / "stacked"), rows(tmp_path / "basic"), rel=1e-3)
    assert [row["status"] for row in rows(tmp_path / "stacked")] == ["finished", "failed"] * 4
    ours, theirs = (
        {file.relative_to(tmp_path / name) for file in (tmp_path / name).rglob("*") if "tfevents" not in file.name}
        for name in ("stacked", "basic")
    )
    assert ours == theirs


@pytest.mark.slow
def test_the_measures_of_a_stacked_sweep_are_those_of_ordinary_runs_on_the_real_images(tmp_path: Path) -> None:
    options = ["data=fashion_mnist", "latent_dim=20", "data.val_size=50000", "trainer.max_epochs=3"]
    for name in ("basic", "stacked"):
        command = sweep(tmp_path / name, f"hydra/launcher={name}", "~callbacks.gallery", *options)
        subprocess.run(command, check=True, cwd=tmp_path)
    assert_alike(rows(tmp_path / "stacked"), rows(tmp_path / "basic"), rel=0.01)


@pytest.mark.slow
def test_a_stacked_sweep_that_is_killed_goes_on_to_the_same_figures(tmp_path: Path) -> None:
    options = ["hydra/launcher=stacked", "trainer.max_epochs=40", "~callbacks.gallery"]
    subprocess.run(sweep(tmp_path / "undisturbed", *options), check=True, cwd=tmp_path)
    command = sweep(tmp_path / "killed", *options)
    process = subprocess.Popen(command, cwd=tmp_path)
    deadline = time.monotonic() + 300
    while len(list((tmp_path / "killed").glob("*/checkpoints/last.ckpt"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "killed").glob("*/metrics.json"))
    subprocess.run(command, check=True, cwd=tmp_path)
    assert_alike(rows(tmp_path / "killed"), rows(tmp_path / "undisturbed"), rel=1e-3)
    finished = {file: file.stat().st_mtime for file in (tmp_path / "killed").glob("*/metrics.json")}
    subprocess.run(command, check=True, cwd=tmp_path)
    assert {file: file.stat().st_mtime for file in (tmp_path / "killed").glob("*/metrics.json")} == finished
