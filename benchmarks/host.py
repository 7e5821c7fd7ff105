"""Milliseconds that the host takes for a training step, side by side: Lightning, one model, a stack.

    python benchmarks/host.py
    python benchmarks/host.py models=8 optimizer=adadelta

The images have 2 x 2 pixels, a batch has one of them, and there are 2 atoms: what is left of a step is the program,
and no arithmetic. Where a GPU does the arithmetic meanwhile, the host decides how quick a step is. Then the steps of
the stack, part by part, by Lightning's profiler. Of each, the tenth that is shortest.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from epoch import QUIET
from hydra import compose, initialize
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.profilers import SimpleProfiler
from stack import Repeated, constraints, models
from torch import Tensor

from partae.constraint import Constraint
from partae.sweep.stack import Member, Stack

STEPS, TURNS = 300, 5
PARTS = {  # what the names of Lightning's profiler hold
    "[Strategy]SingleDeviceStrategy.training_step": "forward pass, means of the epoch",
    "[Strategy]SingleDeviceStrategy.backward": "backward pass",
    "[LightningModule]Stack.on_after_backward": "gradients handed out",
    "[LightningModule]Stack.on_train_batch_end": "constraint",
    "[LightningModule]Stack.lr_scheduler_step": "schedule",
}
Durations = dict[str, list[float]]


class Steps(Callback):
    """When each step began, by the time that this process had: others may use the machine."""

    def on_train_start(self, *_: Any) -> None:
        self.begun: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        self.begun.append(time.process_time())


class Nothing(LightningModule):
    """Learns nothing, by an optimizer without a step: what is left is Lightning."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        return batch[0].sum()

    def backward(self, loss: Tensor, *_: Any) -> None:
        pass


def durations(module: LightningModule, constraints: list[Constraint]) -> Durations:
    """Seconds of each step, under "step", and of each of its parts, by the names of Lightning's profiler."""
    steps, profiler = Steps(), SimpleProfiler()
    trainer = Trainer(max_epochs=1, accelerator="cpu", callbacks=[*constraints, steps], profiler=profiler, **QUIET)
    trainer.fit(module, Repeated(torch.rand(1, 1, 2, 2), STEPS))
    return {**profiler.recorded_durations, "step": [end - start for start, end in itertools.pairwise(steps.begun)]}


def milliseconds(seconds: list[float]) -> float:
    return 1e3 * sorted(seconds)[len(seconds) // 10]


def main() -> None:
    counts = [int(argument.removeprefix("models=")) for argument in sys.argv[1:] if argument.startswith("models=")]
    overrides = [argument for argument in sys.argv[1:] if not argument.startswith("models=")]
    with initialize(version_base="1.3", config_path="../conf"):
        cfg = compose("train", overrides=["data.image_shape=[1,2,2]", "latent_dim=2", *overrides])
    torch.set_num_threads(1)
    count = counts[0] if counts else 32
    ways: dict[str, Callable[[], Durations]] = {
        "Lightning alone": lambda: durations(Nothing(), []),
        "one model": lambda: durations(models(cfg, 1)[0], constraints(cfg)),
        f"a stack of {count}": lambda: durations(
            Stack([Member(each) for each in models(cfg, count)], constraints(cfg)), []
        ),
    }
    found: dict[str, Durations] = {name: {} for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            for part, seconds in way().items():
                found[name].setdefault(part, []).extend(seconds)
    for name, parts in found.items():
        ratio = milliseconds(parts["step"]) / milliseconds(found["one model"]["step"])
        print(f"{name:<36}{milliseconds(parts['step']):7.3f}   ({ratio:.2f})")
    for part, what in PARTS.items():
        print(f"  {what:<34}{milliseconds(found[f'a stack of {count}'][part]):7.3f}")


if __name__ == "__main__":
    print(__doc__) if "--help" in sys.argv else main()
