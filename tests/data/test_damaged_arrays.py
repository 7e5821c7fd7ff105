"""Files of arrays that are missing, damaged or hostile."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from partae.checks import InputError
from partae.data import Arrays
from partae.data.arrays import NAMES
from tests.data.test_arrays import everything


@pytest.mark.parametrize("name", ["train_images", "test_images", "train_labels", "test_labels"])
def test_an_absent_array_is_named(name: str, some_arrays: Path) -> None:
    (some_arrays / f"{name}.npy").unlink()
    with pytest.raises(InputError, match=rf"{name}\.npy is missing"):
        [Arrays(some_arrays).load(split) for split in ("train", "test")]


@pytest.mark.parametrize("length", [0, 5, 60, 3000])
def test_a_truncated_file_is_named_and_left_as_it_is(length: int, some_arrays: Path) -> None:
    file = some_arrays / "train_images.npy"
    content = file.read_bytes()[:length]
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"train_images\.npy is no whole NumPy file"):
        Arrays(some_arrays).load("train")
    assert file.read_bytes() == content


def test_a_file_that_shrinks_while_in_use_is_named(some_arrays: Path) -> None:
    images, _ = Arrays(some_arrays).load("train")
    file = some_arrays / "train_images.npy"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"train_images\.npy has become shorter"):
        everything(images)
    file.unlink()
    with pytest.raises(InputError, match=r"train_images\.npy cannot be read \(No such file"):
        everything(images)


def test_a_flipped_byte_in_an_npz_file_changes_no_image_unseen(some_arrays: Path, tmp_path: Path) -> None:
    path = tmp_path / "all.npz"
    np.savez_compressed(path, **{name: np.load(some_arrays / f"{name}.npy") for name in NAMES})
    content, refused = path.read_bytes(), 0
    expected = Arrays(path).load("train")
    for at in range(0, len(content), 97):
        path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        try:
            found = Arrays(path).load("train")
        except InputError as error:
            refused += "all.npz" in str(error)
        else:  # what was hit was another array, or said nothing of the contents
            assert torch.equal(everything(found[0]), everything(expected[0]))
            assert torch.equal(found[1], expected[1])
    assert refused > 10


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("kind", ["npy", "npz", "pickle"])
def test_a_pickle_is_refused_unread(kind: str, some_arrays: Path, tmp_path: Path) -> None:
    root = some_arrays
    hostile = np.array([Payload(tmp_path / "marker")], dtype=object)
    if kind == "npy":
        np.save(root / "train_images.npy", hostile, allow_pickle=True)
    elif kind == "npz":
        root = tmp_path / "all.npz"
        np.savez(root, allow_pickle=True, train_images=hostile, test_images=hostile)
    else:
        (root / "train_images.npy").write_bytes(pickle.dumps(Payload(tmp_path / "marker")))
    with pytest.raises(InputError, match="no whole NumPy file of numbers"):
        Arrays(root).load("train")
    assert not (tmp_path / "marker").exists()


def test_a_root_that_is_neither_is_refused(some_arrays: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.source\.root=.*nowhere does not exist"):
        Arrays(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"data\.source\.root=.*npy must be a folder"):
        Arrays(some_arrays / "train_images.npy")


@pytest.mark.parametrize("leads", ["in a circle", "nowhere"])
def test_labels_behind_a_broken_link_are_not_taken_for_none(leads: str, some_arrays: Path) -> None:
    for split in ("train", "test"):
        file = some_arrays / f"{split}_labels.npy"
        file.unlink()
        file.symlink_to(file if leads == "in a circle" else some_arrays / "gone")
    with pytest.raises(InputError, match=r"_labels\.npy is no whole NumPy file"):
        Arrays(some_arrays).classes  # noqa: B018
