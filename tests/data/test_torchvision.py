from __future__ import annotations

import hashlib
import pickle
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from partae.checks import InputError
from partae.data import Torchvision
from partae.run.command_line import add_training_images
from partae.run.provenance import provenance_of_run
from tests.command_line import type_in
from tests.conftest import Compose, idx

QMNIST = """
_target_: partae.data.DataModule
source:
  _target_: partae.data.Torchvision
  dataset: QMNIST
  root: {root}
  download: false
image_shape: ${{partae.image_shape:${{.source}}}}
batch_size: 8
val_size: 10
"""


def test_a_yaml_of_ones_own_names_a_class_of_torchvision(composed: Compose, tmp_path: Path) -> None:
    folder = tmp_path / "QMNIST" / "raw"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 28, 28))
    for split in ("train", "test"):
        (folder / f"qmnist-{split}-images-idx3-ubyte").write_bytes(idx(pixels))
        labels = np.repeat(np.arange(40) % 10, 8).astype(">i4").tobytes()
        header = bytes([0, 0, 12, 2, *(40).to_bytes(4, "big"), *(8).to_bytes(4, "big")])
        (folder / f"qmnist-{split}-labels-idx2-int").write_bytes(header + labels)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "qmnist.yaml").write_text(QMNIST.format(root=tmp_path))

    data = instantiate(composed(f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "data=qmnist").data)
    data.check()
    data.setup("test")
    assert data.image_shape == (1, 28, 28)
    assert data.classes[3] == "3 - three"
    assert len(data.sets["train"][0]) == 30
    images, labels = next(iter(data.batches("test")))
    torch.testing.assert_close(images[:, 0], torch.from_numpy(pixels / 255).float())
    assert labels.tolist() == [index % 10 for index in range(40)]


PIXELS = np.random.default_rng(0).integers(0, 256, (30, 3, 32, 32), np.uint8)
LABELS = np.arange(30) % 10


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CIFAR-10 with 30 images in each of two files, below the data folder ``tmp_path``."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ("data_batch_1", "test_batch"):
        batch = {"data": PIXELS.reshape(30, -1), "labels": LABELS.tolist()}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    digests = {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["data_batch_1", digests["data_batch_1"]]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", digests["test_batch"]]])
    meta = {**datasets.CIFAR10.meta, "md5": digests["batches.meta"]}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)


@pytest.fixture
def svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Street View House Numbers, 30 images in each of two files, below the data folder ``tmp_path``."""
    monkeypatch.setattr(datasets.SVHN, "split_list", dict(datasets.SVHN.split_list))
    for split in ("train", "test"):
        file = tmp_path / f"{split}_32x32.mat"
        # its files number the images last, and call the digit 0 10
        savemat(file, {"X": PIXELS.transpose(2, 3, 1, 0), "y": np.where(LABELS == 0, 10, LABELS)[:, None]})
        digest = hashlib.md5(file.read_bytes()).hexdigest()
        monkeypatch.setitem(datasets.SVHN.split_list, split, ["", file.name, digest])


@pytest.mark.parametrize(("dataset", "first"), [("CIFAR10", "a"), ("SVHN", "0")])
def test_any_data_set_of_torchvision_is_one_choice(
    dataset: str, first: str, cifar: None, svhn: None, composed: Compose, tmp_path: Path
) -> None:
    cfg = composed("data=torchvision", f"data.source.dataset={dataset}", f"data.source.root={tmp_path}")
    assert cfg.encoder.image_shape == [3, 32, 32]
    data = instantiate(cfg.data)
    data.check()
    assert {split: len(labels) for split, (_, labels) in data.sets.items()} == {"train": 27, "val": 3, "test": 30}
    images, labels = data.sets["test"]
    torch.testing.assert_close(images, torch.from_numpy(PIXELS / 255).float())
    assert labels.tolist() == LABELS.tolist()
    assert data.classes[0] == first


def test_a_run_on_it_says_what_it_was_trained_on(cifar: None, tmp_path: Path) -> None:
    line = ["data=torchvision", "data.source.dataset=CIFAR10", f"data.source.root={tmp_path}", "hydra.run.dir=run"]
    brief = ["latent_dim=4", "trainer.max_epochs=1", "trainer.accelerator=cpu", "~callbacks.gallery", "logger=none"]
    trained = type_in("train.py", [*line, *brief], tmp_path)
    assert trained.status == 0, trained.err
    assert "Images: CIFAR10, 27 training, 3 validation, 30 test, of 3 x 32 x 32" in trained.out
    assert provenance_of_run(tmp_path / "run")["Data"] == "CIFAR10, seed 0"
    again = add_training_images([f"ckpt={tmp_path / 'run'}"])
    assert {"data=torchvision", "++data.source.dataset='CIFAR10'", "++data.source.download=true"} <= set(again)


def test_without_a_network_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(InputError, match=r"dataset=CIFAR10 .* not known>\nConnect to the network once, or copy"):
        Torchvision("CIFAR10", tmp_path).prepare()


class Shapes:
    """A class like those of torchvision: colour images without names of classes; refuses unknown arguments."""

    def __init__(self, root: Path, split: str, download: bool = False, sizes: tuple[int, ...] = (4, 4)) -> None:
        if not root.exists():
            raise RuntimeError("Dataset not found")
        self.items = [(Image.new("RGB", (5, size), (label, 0, 0)), label) for label, size in enumerate(sizes)]
        assert split in ("train", "test")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return self.items[index]


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "SVHN", Shapes)


def test_classes_with_splits_and_colours_are_read(shapes: None, tmp_path: Path) -> None:
    source = Torchvision("SVHN", tmp_path)
    source.prepare()
    images, labels = source.load("test")
    assert source.image_shape == images.shape[1:] == (3, 4, 5)
    assert source.classes == ("0", "1")
    assert labels.tolist() == images[:, 0, 0, 0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "svnh"}, r"data\.source\.dataset must be .* got 'svnh'\. Did you mean SVHN\?"),
        ({"dataset": ""}, r"data\.source\.dataset must be a class of torchvision\.datasets.* got ''"),
        (
            {"root": Path("/nowhere")},
            r"dataset=SVHN from data\.source\.root=/nowhere .*download=true: Dataset not found",
        ),
        ({"options": {"size": 3}}, r"cannot give data\.source\.dataset=SVHN .*unexpected keyword argument 'size'"),
        ({"options": {"sizes": (4, 5)}}, r"images of data\.source\.dataset=SVHN differ in shape"),
    ],
)
def test_what_cannot_be_read_is_one_message(arguments: Any, message: str, shapes: None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        Torchvision(**{"dataset": "SVHN", "root": tmp_path, **arguments}).load("train")
