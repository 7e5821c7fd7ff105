"""What many tests share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize
from omegaconf import DictConfig
from PIL import Image

from partae.data import FashionMNIST
from partae.run import resolvers  # noqa: F401 - conf/ refers to them
from partae.run.training import train

# the first pass back in a process, if anything compiled, starts threads that no test which forks would survive
torch.ones(1, requires_grad=True).sum().backward()

Compose = Callable[..., DictConfig]
Run = Callable[..., dict[str, float]]


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Each test draws the same numbers, whichever tests ran before it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def idx(array: np.ndarray) -> bytes:
    """A uint8 array in the IDX format of MNIST's files."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def garments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a small Fashion-MNIST of grey boxes."""
    generator = np.random.default_rng(0)
    root = tmp_path / "data"
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for prefix, count in (("train", 400), ("t10k", 120)):
        images = np.zeros((count, 28, 28))
        for image in images:
            top, left = generator.integers(2, 14, 2)
            image[top : top + 10, left : left + 8] = generator.integers(100, 255)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.arange(count) % 10))
    monkeypatch.setattr(FashionMNIST, "counts", {"train": 400, "test": 120})
    return root


@pytest.fixture
def run(composed: Compose, garments: Path, tmp_path: Path) -> Run:
    """Trains two epochs on a small Fashion-MNIST into ``tmp_path / "run"``, which it empties first."""

    def train_in(*overrides: str) -> dict[str, float]:
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        small = [f"data.source.root={garments}", "data.val_size=100", "data.batch_size=50", "latent_dim=8"]
        brief = ["trainer.max_epochs=2", "trainer.accelerator=cpu", "callbacks.gallery.every_n_epochs=1"]
        return train(composed(*small, *brief, *overrides), folder)

    return train_in


@pytest.fixture
def images_of_odd_sizes(tmp_path: Path) -> Path:
    """A folder with 40 colour images in two classes: blobs, red or green, each on a sheet of its own size."""
    generator = np.random.default_rng(0)
    root = tmp_path / "images"
    for index in range(40):
        label, channel = (("green", 1), ("red", 0))[index % 2]
        height, width = generator.integers(9, 30, 2)
        pixels = np.zeros((height, width, 3), np.uint8)
        top, left = generator.integers(0, 4, 2)
        pixels[top : top + 5, left : left + 5, channel] = generator.integers(150, 255)
        (root / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / label / f"{index:02}.{('png', 'jpg', 'bmp')[index % 3]}")
    return root


@pytest.fixture
def some_arrays(tmp_path: Path) -> Path:
    """A folder of .npy files: 60 grey images to train and 20 to test, 9 × 7, in the classes 3, 5 and 8."""
    generator = np.random.default_rng(0)
    root = tmp_path / "arrays"
    root.mkdir()
    for split, count in (("train", 60), ("test", 20)):
        np.save(root / f"{split}_images.npy", generator.integers(0, 256, (count, 9, 7), np.uint8))
        np.save(root / f"{split}_labels.npy", np.array([3, 5, 8])[np.arange(count) % 3])
    return root


@pytest.fixture
def composed(tmp_path: Path) -> Compose:
    """Composes the configuration of a run into a temporary folder."""
    folder = tmp_path / "run"
    places = [
        f"callbacks.checkpoint.dirpath={folder / 'checkpoints'}",
        f"++logger.save_dir={folder}",
        f"trainer.default_root_dir={folder}",
    ]

    def compose_run(*overrides: str, config: str = "train") -> DictConfig:
        with initialize(version_base="1.3", config_path="../conf"):
            return compose(config, overrides=[*(places if config == "train" else []), *overrides])

    return compose_run
