"""Seconds of a training epoch of 1, 8, 32 and 128 models as one stack, against three other ways, side by side.

    python benchmarks/stack.py
    python benchmarks/stack.py data.batch_size=128
    python benchmarks/stack.py models=32 trainer.accelerator=gpu

prints the stack, plain PyTorch loops one after another, Lightning with ``DataLoader(ToTensor())`` one after another,
and the matrix products of a stack alone, with the ratios. All take the same steps: the models of the published sweep,
in turn, with the projection of their atoms. The ways are timed in turns, so that a machine whose speed drifts slows all
alike: a turn is some steps, scaled to an epoch. What n models take one after another is n times what one takes.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from epoch import QUIET
from hydra import compose, initialize
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

import partae.run.resolvers  # noqa: F401 - conf/ refers to them
from partae import AutoEncoder
from partae.constraint import Constraint
from partae.data import DataModule
from partae.sweep.stack import Member, Stack

COUNTS = (1, 8, 32, 128)
TURNS = 5
STEPS = 8  # of a turn
BETAS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5)
TARGETS = (0.01, 0.05, 0.1, 0.2)
Step = Callable[[Tensor], None]


def models(cfg: DictConfig, count: int) -> list[AutoEncoder]:
    """The models of the published sweep, again with other seeds where ``count`` is larger."""
    made = []
    for number, (p, beta) in enumerate(itertools.islice(itertools.cycle(itertools.product(TARGETS, BETAS)), count)):
        torch.manual_seed(number)
        model = instantiate(cfg.model)
        model.sparsity.p.fill_(p)
        model.sparsity.beta.fill_(beta)
        made.append(model)
    return made


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Timed(Callback):
    """Seconds of each turn of a training by Lightning; its first turn does not count."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.start = 0.0

    def on_train_batch_start(self, trainer: Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx % STEPS == 0:
            synchronise()
            now = time.perf_counter()
            if batch_idx > STEPS:
                self.seconds.append(now - self.start)
            self.start = now


class Repeated:
    """The batch that a stack is timed on, as often as it is asked for."""

    def __init__(self, images: Tensor, count: int) -> None:
        self.images, self.count = images, count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return itertools.repeat((self.images, self.images), self.count)


def plain(cfg: DictConfig, device: torch.device) -> Step:
    """A step of one model by a loop in PyTorch alone."""
    (model,) = models(cfg, 1)
    model.to(device)
    optimizer = model.build_optimizer(model.parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)

    def step(images: Tensor) -> None:
        optimizer.zero_grad()
        torch.stack(list(model.losses(images).values())).sum().backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.atoms.clamp_(min=0)

    return step


def products(cfg: DictConfig, count: int, device: torch.device) -> Step:
    """The matrix products of a stack's step: two forward, three backward."""
    first = models(cfg, 1)[0]
    code_size, pixels = len(first.atoms), first.atoms[0].numel()
    weights = torch.rand(count * code_size, pixels, device=device)
    atoms = torch.rand(count, code_size, pixels, device=device)

    def step(images: Tensor) -> None:
        flat = images.flatten(1)
        code = (flat @ weights.T).unflatten(1, (count, code_size)).transpose(0, 1)
        reconstruction = code @ atoms
        code.transpose(1, 2) @ reconstruction
        gradient = reconstruction @ atoms.transpose(1, 2)
        gradient.transpose(0, 1).flatten(1).T @ flat

    return step


def seconds_of(step: Step, images: Tensor) -> float:
    synchronise()
    start = time.perf_counter()
    for _ in range(STEPS):
        step(images)
    synchronise()
    return time.perf_counter() - start


def stacked(cfg: DictConfig, count: int, images: Tensor, compiled: bool) -> Iterator[float]:
    """Seconds of turn after turn of a stack, trained by Lightning as the launcher trains it."""
    members = [Member(model) for model in models(cfg, count)]
    stack = Stack(members, constraints(cfg), compiled=compiled, batch_size=len(images))
    while True:
        timed = Timed()
        trainer = Trainer(max_epochs=1, accelerator=cfg.trainer.accelerator, callbacks=[timed], **QUIET)
        trainer.fit(stack, Repeated(images, 2 * STEPS + 1), Repeated(images, 1))
        yield timed.seconds[-1]


def constraints(cfg: DictConfig) -> list[Constraint]:
    return list(instantiate(cfg.constraint).values())


def to_tensor(cfg: DictConfig, count: int, batch_size: int) -> float:
    """Seconds of a turn of Lightning with ``DataLoader(ToTensor())``, one model."""
    root = str(Path(cfg.data.source.root))
    images = Subset(FashionMNIST(root, transform=ToTensor()), range(min(count, (2 * STEPS + 1) * batch_size)))
    timed = Timed()
    trainer = Trainer(max_epochs=1, accelerator=cfg.trainer.accelerator, callbacks=[timed, *constraints(cfg)], **QUIET)
    trainer.fit(models(cfg, 1)[0], DataLoader(images, batch_size=batch_size, shuffle=True))
    return timed.seconds[-1]


def main() -> None:
    counts = [int(argument.removeprefix("models=")) for argument in sys.argv[1:] if argument.startswith("models=")]
    overrides = [argument for argument in sys.argv[1:] if not argument.startswith("models=")]
    with initialize(version_base="1.3", config_path="../conf"):
        cfg = compose("train", overrides=overrides)
    data: DataModule = instantiate(cfg.data)
    data.prepare_data()
    data.setup("fit")
    device = Trainer(accelerator=cfg.trainer.accelerator, **QUIET).strategy.root_device
    total = len(data.sets["train"][0])
    images = data.sets["train"][0][: data.batch_size].to(device)
    scale = total / data.batch_size / STEPS  # turns of an epoch
    one = plain(cfg, device)
    print(f"{total} images, batches of {data.batch_size}, {torch.get_num_threads()} threads, {device.type}")
    print("median seconds an epoch of all models; in brackets the stack's speed-up, median of the turns' ratios")
    for count in counts or COUNTS:
        ways: dict[str, list[float]] = {"stacked": [], "stacked, not compiled": []}
        ways |= {"plain PyTorch loops": [], "Lightning + DataLoader(ToTensor())": [], "matrix products alone": []}
        turns = {name: stacked(cfg, count, images, name == "stacked") for name in list(ways)[:2]}
        alone = products(cfg, count, device)
        for _ in range(TURNS):
            for name, turn in turns.items():
                ways[name].append(next(turn))
            ways["plain PyTorch loops"].append(count * seconds_of(one, images))
            ways["Lightning + DataLoader(ToTensor())"].append(count * to_tensor(cfg, total, data.batch_size))
            ways["matrix products alone"].append(seconds_of(alone, images))
        print(f"{count} models")
        for name, values in ways.items():
            ratio = statistics.median(value / own for value, own in zip(values, ways["stacked"], strict=True))
            print(f"  {name:<36}{scale * statistics.median(values):9.2f}   ({ratio:.2f})", flush=True)


if __name__ == "__main__":
    print(__doc__) if "--help" in sys.argv else main()
