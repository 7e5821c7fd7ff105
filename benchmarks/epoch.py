"""Seconds of a training epoch of the default run, against the same steps in two other ways, side by side.

    python benchmarks/epoch.py

prints a plain PyTorch loop over the same tensors, partae, and Lightning with ``DataLoader(ToTensor())``, with the
ratios. All three take the same steps: same model, batch size, optimizer, schedule and projection.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import Callback, LightningDataModule, Trainer
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

import partae.run.resolvers  # noqa: F401 - conf/ refers to them
from partae.data import Batches, DataModule, Order
from partae.projection import nonnegative

EPOCHS = 4  # of each way, after one that does not count
ROUNDS = 3  # in turn, so that a machine whose speed drifts slows all alike
QUIET: dict[str, Any] = {
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "limit_val_batches": 0,
}


class Stopwatch(Callback):
    """Seconds of each training epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        self.start = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds.append(time.perf_counter() - self.start)


class ToTensorData(LightningDataModule):
    """What most projects write: an image at a time through PIL and ToTensor."""

    def __init__(self, root: str, size: int, batch_size: int) -> None:
        super().__init__()
        self.images = Subset(FashionMNIST(root, transform=ToTensor()), range(size))
        self.batch_size = batch_size

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.images, batch_size=self.batch_size, shuffle=True)


def plain(cfg: DictConfig, data: DataModule) -> list[float]:
    """Seconds of each epoch of a loop in PyTorch alone."""
    torch.manual_seed(0)
    model = instantiate(cfg.model)
    optimizer = model.optimizer(model.parameters())
    batches = Batches(*data.sets["train"], data.batch_size, Order(len(data.sets["train"][0]), seed=0))
    steps = (EPOCHS + 1) * len(batches)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: model.schedule((step + 0.5) / steps))
    seconds = []
    for epoch in range(EPOCHS + 1):
        start = time.perf_counter()
        batches.sampler.set_epoch(epoch)
        for images, _ in batches:
            code = model.encode(images)
            loss = model.reconstruction(model.decode(code), images) + model.sparsity(code)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                model.atoms.copy_(nonnegative(model.atoms))
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def lightning(cfg: DictConfig, data: LightningDataModule, epochs: int) -> list[float]:
    """Seconds of each epoch of partae's model and constraint under Lightning, on any data."""
    torch.manual_seed(0)
    stopwatch = Stopwatch()
    callbacks = [*instantiate(cfg.constraint).values(), stopwatch]
    Trainer(max_epochs=epochs + 1, accelerator="cpu", callbacks=callbacks, **QUIET).fit(instantiate(cfg.model), data)
    return stopwatch.seconds[1:]


def main() -> None:
    with initialize(version_base="1.3", config_path="../conf"):
        cfg = compose("train", overrides=sys.argv[1:])
    data: DataModule = instantiate(cfg.data)
    data.prepare_data()
    data.setup("fit")
    count = len(data.sets["train"][0])
    seconds: dict[str, list[float]] = {"plain PyTorch loop": [], "partae": [], "Lightning + DataLoader(ToTensor())": []}
    for _ in range(ROUNDS):
        seconds["plain PyTorch loop"] += plain(cfg, data)
        seconds["partae"] += lightning(cfg, data, EPOCHS)
        root = str(Path(cfg.data.source.root))
        seconds["Lightning + DataLoader(ToTensor())"] += lightning(cfg, ToTensorData(root, count, data.batch_size), 1)
    base = statistics.median(seconds["partae"])
    print(f"{count} images, batches of {data.batch_size}, {torch.get_num_threads()} threads, median seconds an epoch:")
    for name, values in seconds.items():
        print(
            f"  {name:<36}{statistics.median(values):8.2f}   partae takes {base / statistics.median(values):.2f} of it"
        )


if __name__ == "__main__":
    print(__doc__) if "--help" in sys.argv else main()
