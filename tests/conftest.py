"""What many tests share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize
from omegaconf import DictConfig

from partae.data import fashion_mnist

Compose = Callable[..., DictConfig]


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
    """A data folder with a small Fashion-MNIST of blurred boxes, taken for the real one by the checks."""
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
    checksums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    monkeypatch.setattr(fashion_mnist, "CHECKSUMS", checksums)
    return root


@pytest.fixture
def composed(tmp_path: Path) -> Compose:
    """Composes the configuration of a run into a temporary folder."""
    folder = tmp_path / "run"
    places = [
        f"callbacks.checkpoint.dirpath={folder / 'checkpoints'}",
        f"logger.save_dir={folder}",
        f"trainer.default_root_dir={folder}",
    ]

    def compose_run(*overrides: str, config: str = "train") -> DictConfig:
        with initialize(version_base="1.3", config_path="../conf"):
            return compose(config, overrides=[*(places if config == "train" else []), *overrides])

    return compose_run
