from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from PIL import Image
from torchvision import datasets

from partae.checks import InputError
from partae.data import Torchvision
from tests.conftest import Compose, idx

QMNIST = """
_target_: partae.data.DataModule
source:
  _target_: partae.data.Torchvision
  name: QMNIST
  root: {root}
  download: false
image_shape: ${{partae.image_shape:${{.source}}}}
batch_size: 8
val_size: 10
"""


def test_a_data_set_of_torchvision_costs_one_yaml(composed: Compose, tmp_path: Path) -> None:
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
        ({"name": "SVNH"}, r"data\.source\.name must be a class of torchvision\.datasets.* got 'SVNH'"),
        ({"root": Path("/nowhere")}, r"name=SVHN from data\.source\.root=/nowhere .*download=true: Dataset not found"),
        ({"options": {"size": 3}}, r"cannot give data\.source\.name=SVHN .*unexpected keyword argument 'size'"),
        ({"options": {"sizes": (4, 5)}}, r"images of data\.source\.name=SVHN differ in shape"),
    ],
)
def test_what_cannot_be_read_is_one_message(arguments: Any, message: str, shapes: None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        Torchvision(**{"name": "SVHN", "root": tmp_path, **arguments}).load("train")
