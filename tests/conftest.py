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

# the first backward pass of a process starts threads, which a test that forks would not survive
torch.ones(1, requires_grad=True).sum().backward()

Compose = Callable[..., DictConfig]
Run = Callable[..., dict[str, float]]

CONF = Path(__file__).parent.parent / "conf"
WHOLE = ("experiment", "debug")  # groups whose choices are of all groups
GROUPS = [folder for folder in (*CONF.glob("*"), *CONF.glob("*coder/*")) if folder.name not in (*WHOLE, "hydra")]
YAMLS = sorted((folder.relative_to(CONF).as_posix(), file.stem) for folder in GROUPS for file in folder.glob("*.yaml"))

# a run of seconds
BARS = ["data=bars", "data.source.train_size=60", "data.source.test_size=20", "data.val_size=20", "latent_dim=4"]
BARS += ["trainer.accelerator=cpu", "quiet=true"]


def log_into(folder: Path, cfg: DictConfig) -> DictConfig:
    """The configuration of a run whose loggers write to ``folder``, since no Hydra knows the run's own."""
    for logger in cfg.get("logger", {}).values():
        if "save_dir" in logger:
            logger.save_dir = str(folder)
    return cfg


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Every test draws the same numbers, whatever ran before it."""
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
def go_on(composed: Compose, tmp_path: Path) -> Run:
    """Trains into ``tmp_path / "run"``, from where an earlier training there has ended."""
    return lambda *overrides: train(composed("trainer.accelerator=cpu", *overrides), tmp_path / "run")


@pytest.fixture
def run(go_on: Run, garments: Path, tmp_path: Path) -> Run:
    """Trains two epochs on a small Fashion-MNIST into an empty ``tmp_path / "run"``; pictures take an override."""

    def train_anew(*overrides: str) -> dict[str, float]:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        small = [f"data.source.root={garments}", "data.val_size=100", "data.batch_size=50", "latent_dim=8"]
        gallery = [] if any("callbacks.gallery" in override for override in overrides) else ["~callbacks.gallery"]
        return go_on(*small, "trainer.max_epochs=2", *gallery, *overrides)

    return train_anew


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
        f"trainer.default_root_dir={folder}",
    ]

    def compose_run(*overrides: str, config: str = "train") -> DictConfig:
        with initialize(version_base="1.3", config_path="../conf"):
            cfg = compose(config, overrides=[*(places if config == "train" else []), *overrides])
        return log_into(folder, cfg)

    return compose_run
