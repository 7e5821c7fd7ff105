"""Sweeps as users start them: by each engine, killed, interrupted, and started again."""

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
from pytorch_lightning import Callback, LightningModule, Trainer

from partae.run.run_folder import measures_of
from partae.saving.checkpoints import read
from tests.run.killing import differences

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
TINY = ["data=bars", "latent_dim=4", "data.source.train_size=300", "data.source.test_size=50", "data.val_size=50"]
TINY += ["~callbacks.gallery", "~callbacks.progress", "+trainer.enable_progress_bar=false", "trainer.accelerator=cpu"]
SWEEP = ["-m", "name=sweep", *TINY]
JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
# what an engine's worker computes does not depend on how many threads it is given
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled"}


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts train.py in a temporary folder, as the head of its own group of processes."""

    def start_there(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *arguments],
            cwd=tmp_path,
            env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Ctrl-C works, even if these tests run in the background of a shell, which takes it from its children
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    return start_there


@pytest.fixture
def done(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str]]:
    """Runs train.py to its end: its exit status, and what it printed."""

    def run(*arguments: str) -> tuple[int, str]:
        process = start(*arguments)
        printed, errors = process.communicate()
        assert "Traceback" not in errors, errors
        return process.returncode, printed

    return run


def wait(process: subprocess.Popen[str], found: Callable[[], bool]) -> None:
    """Wait until something is ``found`` while a process runs, 10 minutes at most."""
    end = time.monotonic() + 600
    while not found():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def figures(folder: Path) -> list[dict[str, str]]:
    """The rows of a sweep, but for the time that each took."""
    with (folder / "sweep.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "wall_time"} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    "engine",
    [JOBLIB, *([f"hydra/launcher={name}"] for name in ("submitit_local", "ray", "stacked"))],
    ids=lambda engine: engine[0],
)
def test_every_engine_runs_a_sweep_past_its_impossible_jobs(
    engine: list[str], done: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    grid = ["sparsity.beta=0.001,0.01", "sparsity.p=0.1,1.5", "trainer.max_epochs=1"]
    status, printed = done(*SWEEP, *grid, *engine)
    assert status == 1
    rows = figures(tmp_path / "outputs" / "sweep")
    assert [row["status"] for row in rows] == ["finished", "failed"] * 2
    assert [float(row["test/reconstruction_error"]) < 1 for row in rows if row["status"] == "finished"] == [True, True]
    assert "2 of 4 jobs failed:" in printed
    assert "  sparsity.beta=0.01 sparsity.p=1.5: sparsity.p must be a number in (0, 1); got 1.5" in printed


def test_a_killed_sweep_goes_on_to_the_figures_of_an_undisturbed_one(
    start: Callable[..., subprocess.Popen[str]], done: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    grid = ["sparsity.beta=0.001,0.01", "sparsity.p=0.1,0.2", "trainer.max_epochs=25"]
    folder = tmp_path / "outputs" / "sweep"
    status, printed = done(*SWEEP, *grid)
    assert status == 0
    assert printed.index("1 of 4 jobs done, about ") < printed.index("4 of 4 jobs done\n")
    assert (folder / "panels.pdf").exists()
    undisturbed = figures(folder)
    folder.rename(tmp_path / "undisturbed")

    sweep = start(*SWEEP, *grid, *JOBLIB)
    begun = "*/checkpoints/last.ckpt"
    wait(sweep, lambda: any(folder.glob("*/metrics.json")) and len(list(folder.glob(begun))) > 2)
    os.killpg(sweep.pid, signal.SIGKILL)
    sweep.communicate()
    finished = {file: file.stat().st_mtime_ns for file in folder.glob("*/metrics.json")}
    assert 0 < len(finished) < 4
    status, printed = done(*SWEEP, *grid, *JOBLIB)
    assert status == 0
    assert "4 of 4 jobs done\n" in printed
    assert figures(folder) == undisturbed
    assert {file: file.stat().st_mtime_ns for file in finished} == finished


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_says_how_to_go_on_and_ends_bit_for_bit(
    number: signal.Signals,
    start: Callable[..., subprocess.Popen[str]],
    done: Callable[..., tuple[int, str]],
    tmp_path: Path,
) -> None:
    run = start(*TINY, "trainer.max_epochs=100")
    wait(run, lambda: any(tmp_path.glob("outputs/default/*/checkpoints/last.ckpt")))
    run.send_signal(number)
    printed, errors = run.communicate()
    assert run.returncode == 128 + number, errors
    assert "Traceback" not in errors
    (folder,) = tmp_path.glob("outputs/default/*")
    line = f"python {ROOT}/train.py resume={folder.relative_to(tmp_path)}"
    assert line in printed
    assert not (folder / "metrics.json").exists()
    status, printed = done(line.split()[-1])
    assert status == 0
    assert "Written to" in printed
    assert len(list(folder.parent.iterdir())) == 1
    assert done(*TINY, "trainer.max_epochs=100", "hydra.run.dir=straight")[0] == 0
    ours, undisturbed = folder, tmp_path / "straight"
    one, other = (read(place / "checkpoints" / "last.ckpt") for place in (ours, undisturbed))
    assert differences(one, other) == []
    one, other = ({**measures_of(place), "wall_time": 0} for place in (ours, undisturbed))
    assert one == other


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_sweep_sums_up_what_is_finished(
    number: signal.Signals, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    sweep = start("-m", *TINY, "trainer.max_epochs=5,2000")
    wait(sweep, lambda: len(list(tmp_path.glob("outputs/default/*/*/checkpoints/best.ckpt"))) == 2)
    sweep.send_signal(number)
    printed, errors = sweep.communicate()
    assert sweep.returncode == 128 + number, errors
    assert "Traceback" not in errors
    (folder,) = tmp_path.glob("outputs/default/*")
    assert [row["status"] for row in figures(folder)] == ["finished", "unfinished"]
    assert f"hydra.sweep.dir={folder.relative_to(tmp_path)}" in printed
    assert "finished" in printed


def test_optuna_searches_and_finds_its_trials_again(done: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    search = ["-m", "experiment=search", *TINY, "trainer.max_epochs=1", "hydra.sweeper.n_trials=3"]
    folder = tmp_path / "outputs" / "search"
    assert done(*search)[0] == 0
    rows = figures(folder)
    assert len({row["sparsity.beta"] for row in rows}) == 3
    best = (folder / "optimization_results.yaml").read_text()
    assert str(min(float(row["val/max_approximation_error_calibrated"]) for row in rows)) in best
    finished = {file: file.stat().st_mtime_ns for file in folder.glob("*/metrics.json")}
    assert done(*search)[0] == 0
    assert {file: file.stat().st_mtime_ns for file in folder.glob("*/metrics.json")} == finished
    assert figures(folder) == rows


REVIVAL = ["callbacks=revival", "callbacks.revival.frequency=0.9", "callbacks.revival.share=0.5"]


@pytest.mark.parametrize("model", [["sparsity.beta=0.1"], ["model=nnsae"], REVIVAL], ids=lambda each: each[0])
def test_two_devices_train_to_the_measures_of_one(
    model: list[str], done: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    options = [*TINY, *model, "trainer.max_epochs=5", "data.batch_size=50"]
    options += ["data.source.train_size=299", "data.val_size=49"]  # an odd number to validate, an even one to train
    assert done(*options, "hydra.run.dir=one")[0] == 0
    assert done(*options, "hydra.run.dir=two", "trainer=ddp", "trainer.devices=2")[0] == 0
    one, two = (measures_of(tmp_path / name) for name in ("one", "two"))
    for found in (one, two):
        found.pop("wall_time")
    assert two == pytest.approx(one, rel=1e-4, abs=1e-6)


class RandomState(Callback):
    """Keeps the state of each device's random numbers before each batch; kills its process where a file says so."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        place = f"random-{trainer.current_epoch}-{batch_idx}-{trainer.global_rank}"
        torch.save(torch.get_rng_state(), Path(trainer.default_root_dir, place))
        if Path("kill").exists() and (trainer.current_epoch, batch_idx) == (1, 1):
            os.kill(os.getpid(), signal.SIGKILL)


def test_each_device_draws_for_its_own_images_and_goes_on_bit_for_bit_after_a_kill(
    done: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    state = f"+callbacks.random._target_={__name__}.RandomState"
    options = [*TINY, *REVIVAL, "corruption=masking", "trainer=ddp", "trainer.devices=2", "trainer.max_epochs=2", state]
    assert done(*options, "hydra.run.dir=straight")[0] == 0
    (tmp_path / "kill").touch()
    assert done(*options, "hydra.run.dir='a run'")[0] != 0
    (tmp_path / "kill").unlink()
    assert not (tmp_path / "a run" / "metrics.json").exists()
    assert done("resume='a run'", state)[0] == 0
    one, other = (read(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("straight", "a run"))
    assert differences(one, other) == []
    states = [torch.load(file) for file in (tmp_path / "straight").glob("random-*")]
    assert len(states) == 2 * 2 * 2
    assert not any(a.equal(b) for a, b in itertools.combinations(states, 2))
