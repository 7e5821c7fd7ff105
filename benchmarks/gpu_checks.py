"""The checks of `gpu.py`, one by one.

    python benchmarks/gpu_checks.py default gpu full <an empty folder>

A check yields what it found, piece by piece, so that what is known when it is stopped is kept; ``ok`` tells whether all
is right. It passes where it only measures.
"""

from __future__ import annotations

import functools
import json
import os
import re
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
from epoch import QUIET
from hydra import compose, initialize
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import Callback, LightningModule, Trainer
from stack import Repeated, constraints, models, plain, seconds_of, stacked, synchronise
from torch import Tensor

from partae.data import DataModule
from partae.files import write_bytes
from partae.nmf import SparseNMF
from partae.sweep.stack import Member, Stack

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = ("torch", "pytorch-lightning", "torchmetrics", "kornia", "numpy", "scikit-learn")
WARM = 20  # steps that do not count
Found = Iterator[dict[str, Any]]


class Size(NamedTuple):
    """How much a check does: overrides of the images and of the sweep, and numbers."""

    data: Sequence[str]
    sweep: Sequence[str]
    epochs: int
    models: int  # of a stack
    steps: int  # that are timed
    turns: int


BARS = ("data=bars", "data.source.train_size=400", "data.source.test_size=100", "data.val_size=100", "latent_dim=8")
FOUR = ("trainer.max_epochs=1", "sparsity.p=0.05,0.1", "sparsity.beta=0.001,0.01")
SIZES = {
    "full": Size(data=(), sweep=(), epochs=5, models=32, steps=200, turns=9),
    "tiny": Size(data=BARS, sweep=FOUR, epochs=2, models=3, steps=5, turns=1),
}


class Setting(NamedTuple):
    """Where a check runs: an accelerator of Lightning, and a folder for its runs."""

    accelerator: str
    size: Size
    folder: Path

    @property
    def device(self) -> torch.device:
        return torch.device("cpu" if self.accelerator == "cpu" else "cuda")

    def command(self, *overrides: str, accelerator: str | None = None) -> list[str]:
        """A command line of train.py."""
        place = f"trainer.accelerator={accelerator or self.accelerator}"
        return [sys.executable, "train.py", *overrides, *self.size.data, place, "quiet=true"]

    def train(self, name: str, *overrides: str, accelerator: str | None = None) -> dict[str, float]:
        """Train into ``folder / name``; the measures on the test images."""
        folder = self.folder / name
        run(self.command(*overrides, f"hydra.run.dir={folder}", accelerator=accelerator))
        measures = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        return {key: measures[key] for key in measures if key.startswith("test/")}

    def last_checkpoint(self, name: str) -> dict[str, Any]:
        """The last checkpoint of a run, on the CPU."""
        file = self.folder / name / "checkpoints" / "last.ckpt"
        checkpoint: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return checkpoint

    def composed(self) -> tuple[DictConfig, Tensor, int]:
        """The configuration of a run, its training images, and its batch size."""
        with initialize(version_base="1.3", config_path="../conf"):
            cfg = compose("train", overrides=[*self.size.data, f"trainer.accelerator={self.accelerator}"])
        data: DataModule = instantiate(cfg.data)
        data.check()
        return cfg, data.sets["train"][0], data.batch_size


def run(command: Sequence[str]) -> str:
    """Run a command in the project's folder; what it printed, which an error shows too."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout)
    done.check_returncode()
    return done.stdout


def difference(one: float, other: float) -> float:
    """The relative difference of two numbers, in [0, 2]."""
    return abs(one - other) / (max(abs(one), abs(other)) or 1.0)


def machine(setting: Setting) -> Found:
    """The card and the versions; it fails where the accelerator is not there."""
    versions = {"cuda": torch.version.cuda, **{name: version(name) for name in LIBRARIES}}
    has_gpu = torch.cuda.is_available()
    card = torch.cuda.get_device_name() if has_gpu else None
    yield {"ok": has_gpu or setting.accelerator == "cpu", "card": card, "cores": os.cpu_count(), "versions": versions}


def tests(setting: Setting) -> Found:
    """The tests that need a GPU; on a CPU, a few of them."""
    chosen = ["-k", "operators or hoyers"] if setting.accelerator == "cpu" else ["-m", "cuda"]
    options = ["-q", "-W", "default", "-p", "no:cacheprovider", "-n", str(os.cpu_count()), *chosen]
    os.environ["OMP_NUM_THREADS"] = "1"  # there is a worker for each core
    said = run([sys.executable, "-m", "pytest", *options, "tests/test_devices.py"]).strip().splitlines()[-1]
    yield {"ok": " passed" in said, "said": said}


def default(setting: Setting) -> Found:
    """The default run ends on the device with the measures of the CPU, within 1 %."""
    brief = [f"trainer.max_epochs={setting.size.epochs}", "~callbacks.gallery"]
    measures: list[dict[str, float]] = []
    for name in (setting.accelerator, "cpu"):
        start = time.perf_counter()
        measures.append(setting.train(f"default_{len(measures)}", *brief, accelerator=name))
        yield {"ok": False, f"seconds_of_run_{len(measures)}_on_{name}": time.perf_counter() - start}
    off = {key: difference(value, measures[1][key]) for key, value in measures[0].items()}
    yield {"ok": max(off.values()) <= 0.01, "relative_differences": off}


def resume(setting: Setting) -> Found:
    """A run that is killed goes on bit for bit, with the masks that it would have drawn."""
    brief = ["trainer.max_epochs=4", "corruption=masking", "callbacks=revival", "~callbacks.gallery"]
    expected, folder = setting.train("straight", *brief), setting.folder / "killed"
    process = subprocess.Popen(setting.command(*brief, f"hydra.run.dir={folder}"), cwd=ROOT)
    while not (folder / "checkpoints" / "last.ckpt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    is_killed = not (folder / "metrics.json").exists()
    yield {"ok": False, "killed": is_killed, "killed_after_epoch": setting.last_checkpoint("killed")["epoch"]}
    found = setting.train("killed", f"resume={folder}")
    one, other = (setting.last_checkpoint(name)["state_dict"] for name in ("straight", "killed"))
    differing = [key for key, value in one.items() if not value.equal(other[key])]
    yield {"ok": is_killed and not differing and found == expected, "differing": differing}


class Clock(Callback):
    """Seconds of a step, for the host alone and in all, after `WARM` steps that do not count."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.start = self.host = self.total = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == WARM:
            synchronise()
            self.start = time.perf_counter()
        elif batch_idx == WARM + self.steps:
            self.host = (time.perf_counter() - self.start) / self.steps
            synchronise()
            self.total = (time.perf_counter() - self.start) / self.steps


def compile_as(mode: str | None, compiler: Callable[..., Any], /, *given: Any, **options: Any) -> Any:
    """What ``compiler`` gives in a ``mode``, whichever mode is asked for."""
    return compiler(*given, **options | {"mode": mode})


def step(setting: Setting) -> Found:
    """A step of a stack: the host's time and all of it, by each way to compile it; their weights agree within 1 %."""
    cfg, every, batch_size = setting.composed()
    images = every[:batch_size].to(setting.device)
    steps, found, eager = setting.size.steps, {}, torch.zeros(0)
    ways = {"eager": None, "compiled": None, "compiled_graphs": "reduce-overhead"}
    for name, way in ways.items():
        members = [Member(model) for model in models(cfg, setting.size.models)]
        stack = Stack(members, constraints(cfg), compiled=name != "eager", batch_size=batch_size)
        clock, start = Clock(steps), time.perf_counter()
        options = {"accelerator": setting.accelerator, "deterministic": True, "callbacks": [clock], **QUIET}
        with mock.patch.object(torch, "compile", functools.partial(compile_as, way, torch.compile)):
            Trainer(max_epochs=1, **options).fit(stack, Repeated(images, WARM + steps + 1), Repeated(images, 1))
        weights = torch.cat([tensor.detach().flatten() for tensor in stack.models.parameters.values()])
        eager = weights if name == "eager" else eager
        found[name] = {
            "host_ms": clock.host * 1e3,
            "ms": clock.total * 1e3,
            "minutes_of_500_epochs": clock.total * 500 * len(every) / batch_size / 60,
            "seconds_with_compiling": time.perf_counter() - start,
            "relative_difference": ((weights - eager).norm() / eager.norm()).item(),
        }
        agree = all(each["relative_difference"] <= 0.01 for each in found.values())
        yield {"ok": agree and len(found) == len(ways), "models": len(members), "ways": found}


def stack(setting: Setting) -> Found:
    """A stack of models, and plain loops over them on the same device."""
    cfg, every, batch_size = setting.composed()
    images, count = every[:batch_size].to(setting.device), setting.size.models
    one, turns = plain(cfg, setting.device), stacked(cfg, count, images, compiled=True)
    seconds_of(one, images)  # does not count
    ratios = [count * seconds_of(one, images) / next(turns) for _ in range(setting.size.turns)]
    yield {"models": count, "times_faster_than_plain_loops": statistics.median(ratios)}


def nmf(setting: Setting) -> Found:
    """Sparse NMF comes to the objective of the CPU, within 0.2 %."""
    cfg, every, _ = setting.composed()
    found: dict[str, dict[str, float]] = {}
    for name in ("sparseness_of_code", "sparseness_of_atoms"):
        estimator = SparseNMF(cfg.latent_dim, max_iter=10, tol=0.0, random_state=0).set_params(**{name: 0.6})
        seconds, objectives = [], []
        for device in (setting.device, torch.device("cpu")):
            images = every[:10000].flatten(1).to(device)
            estimator.fit(images[: cfg.latent_dim])  # does not count
            start = time.perf_counter()
            objectives.append(estimator.fit(images).objective_history_[-1])
            seconds.append(time.perf_counter() - start)
        off, ratio = difference(*objectives), seconds[1] / seconds[0]
        found[name] = {"relative_difference": off, "times_faster_than_the_cpu": ratio}
        yield {"ok": all(each["relative_difference"] <= 0.002 for each in found.values()), "constraints": found}


def sweep(setting: Setting) -> Found:
    """The published sweep, stacked: every job is finished, and none has trained alone."""
    folder, start = setting.folder / "sweep", time.perf_counter()
    arguments = ["experiment=figure_8", "hydra/launcher=stacked", f"hydra.sweep.dir={folder}"]
    said = run(setting.command("-m", *arguments, *setting.size.sweep))
    jobs, finished = (len(list(folder.glob(f"*/{name}"))) for name in (".hydra", "metrics.json"))
    troubles = re.findall("without being compiled.*|stopped; they run one by one.*|runs alone.*", said)
    found = {"jobs": jobs, "finished": finished, "minutes": (time.perf_counter() - start) / 60, "troubles": troubles}
    yield {"ok": jobs == finished > 0 and not troubles, **found}


if __name__ == "__main__":
    if len(sys.argv) != 5:
        print(__doc__)
        sys.exit("--help" not in sys.argv)
    name, accelerator, size, place = sys.argv[1:]
    warnings.filterwarnings("error", ".*without being compiled")  # else a check would time something else
    known: dict[str, Any] = {"ok": True}
    for values in globals()[name](Setting(accelerator, SIZES[size], Path(place))):
        known |= values
        write_bytes(Path(place) / f"{name}.json", json.dumps(known).encode())
