from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from partae.checks import InputError
from partae.data import Arrays, DataModule, Stored
from partae.data.arrays import NAMES, StoredArray


def everything(images: Tensor | Stored) -> Tensor:
    return images if isinstance(images, Tensor) else images.read(torch.arange(images.shape[0]))


def test_a_folder_of_arrays_gives_their_images_and_classes(some_arrays: Path) -> None:
    source = Arrays(some_arrays)
    assert source.image_shape == (1, 9, 7)
    assert source.classes == ("3", "5", "8")
    images, labels = source.load("test")
    assert isinstance(images, StoredArray)
    expected = np.load(some_arrays / "test_images.npy")
    np.testing.assert_array_equal(everything(images)[:, 0], expected)
    assert labels.tolist() == [index % 3 for index in range(20)]


def test_an_npz_file_gives_the_same(some_arrays: Path, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "all.npz", **{file.stem: np.load(file) for file in some_arrays.iterdir()})
    one, other = Arrays(some_arrays), Arrays(tmp_path / "all.npz")
    assert one.classes == other.classes
    assert one.image_shape == other.image_shape
    for split in ("train", "test"):
        (images, labels), (expected, expected_labels) = other.load(split), one.load(split)
        assert isinstance(images, Tensor)
        assert torch.equal(images, everything(expected))
        assert torch.equal(labels, expected_labels)


@pytest.mark.parametrize("dtype", ["u1", "<f2", "<f4", ">f4", "<f8"])
@pytest.mark.parametrize("shape", [(6, 4, 5), (6, 1, 4, 5), (6, 3, 4, 5)])
def test_every_kind_of_pixel_is_read(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(shape)
    array = (values * 255 if dtype == "u1" else values).astype(dtype)
    for split in ("train", "test"):
        np.save(tmp_path / f"{split}_images.npy", array)
    images, labels = Arrays(tmp_path).load("train")
    index = torch.tensor([4, 0, 4])
    read = images.read(index) if not isinstance(images, Tensor) else images[index]
    channels = shape[1] if len(shape) == 4 else 1
    np.testing.assert_array_equal(read, array.reshape(6, channels, 4, 5)[index].astype(array.dtype.newbyteorder("=")))
    assert Arrays(tmp_path).classes == ()
    assert not labels.any()


def saved(folder: Path, kind: str, **arrays: Any) -> Path:
    """Arrays in .npy files or in one .npz file."""
    if kind == "npz":
        np.savez(folder / "all.npz", **arrays)
        return folder / "all.npz"
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def levels(maximum: int) -> Any:
    array = np.random.default_rng(0).integers(0, maximum + 1, (40, 4, 5), np.uint8)
    array[0] = maximum
    return array


@pytest.mark.parametrize("maximum", [1, 100, 255])
@pytest.mark.parametrize(("kind", "memory"), [("npz", 4), ("npy", 4), ("npy", 0)])
def test_uint8_images_are_read_as_shares_of_white(maximum: int, kind: str, memory: float, tmp_path: Path) -> None:
    array = levels(maximum)
    root = saved(tmp_path, kind, train_images=array, test_images=array[:10])
    data = DataModule(Arrays(root, maximum=maximum), val_size=0, memory=memory)
    data.check()
    data.setup("test")
    for split, stored in (("train", array), ("test", array[:10])):
        images = torch.cat([batch for batch, _ in data.batches(split)]).flatten(1).numpy()
        expected = (stored.reshape(-1, 20) / maximum).astype(np.float32)
        assert images.dtype == np.float32
        assert images.max() == 1
        order = [np.lexsort(each.T) for each in (images, expected)]
        np.testing.assert_array_equal(images[order[0]], expected[order[1]])


@pytest.mark.parametrize("kind", ["npz", "npy"])
@pytest.mark.parametrize("largest", [1, 16])
@pytest.mark.parametrize("split", ["train", "test"])
def test_images_that_are_nearly_black_are_refused(split: str, largest: int, kind: str, tmp_path: Path) -> None:
    arrays = {"train_images": levels(255), "test_images": levels(255), f"{split}_images": levels(largest)}
    root = saved(tmp_path, kind, **arrays)
    with pytest.raises(
        InputError, match=rf"{split}_images.* no value above {largest} .* data\.source\.maximum={largest}"
    ):
        Arrays(root).load(split)
    Arrays(root, maximum=255).load(split)


def test_dark_images_among_others_and_black_ones_are_read(tmp_path: Path) -> None:
    array = np.concatenate([levels(1), levels(17)])
    root = saved(tmp_path, "npy", train_images=array, test_images=np.zeros_like(array))
    for split in ("train", "test"):
        assert everything(Arrays(root).load(split)[0]).dtype == torch.uint8


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_a_value_above_the_maximum_is_refused(kind: str, tmp_path: Path) -> None:
    root = saved(tmp_path, kind, train_images=levels(1), test_images=levels(2))
    source = Arrays(root, maximum=1)
    everything(source.load("train")[0])
    with pytest.raises(InputError, match=r"test_images.* has a value of 2, which is above data\.source\.maximum=1"):
        everything(source.load("test")[0])


def test_a_maximum_of_floats_is_refused(tmp_path: Path) -> None:
    root = saved(tmp_path, "npy", train_images=np.ones((4, 4, 5)), test_images=np.ones((4, 4, 5)))
    with pytest.raises(InputError, match=r"data\.source\.maximum is for uint8 images, but .*npy is float64"):
        Arrays(root, maximum=1).load("train")
    for maximum in (0, 256):
        with pytest.raises(InputError, match=rf"data\.source\.maximum .* got {maximum}"):
            Arrays(root, maximum=maximum)


@pytest.mark.parametrize("kind", ["npz", "npy"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8"])
def test_floats_that_rounding_puts_out_of_range_are_clipped(dtype: str, kind: str, tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((4, 4, 5)).astype(dtype)
    array[0, 0, :4] = [1 + 1e-6, 1 + 0.9e-3, -1e-9, -0.9e-3]
    root = saved(tmp_path, kind, train_images=array, test_images=array)
    found = everything(Arrays(root).load("train")[0])[:, 0]
    np.testing.assert_array_equal(found, np.clip(array, 0, 1))
    assert found.max() == 1


@given(st.lists(st.integers(0, 19), max_size=40))
def test_images_come_in_the_order_asked_for(index: list[int]) -> None:
    path = Path(__file__)  # any file is an array of bytes
    content = np.frombuffer(path.read_bytes(), np.uint8)
    images = StoredArray(path, 11, np.dtype(np.uint8), (20, 1, 2, 3)).read(torch.tensor(index, dtype=torch.int64))
    expected = np.array([content[11 + 6 * each : 17 + 6 * each] for each in index]).reshape(-1, 1, 2, 3)
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train_images", np.zeros((5, 9, 7, 3), np.uint8), r"train_images\.npy must hold images.*\(5, 9, 7, 3\)"),
        ("train_images", np.zeros((0, 9, 7), np.uint8), r"train_images\.npy must hold images"),
        ("train_images", np.zeros((60, 9, 7), np.int64), r"train_images\.npy must be uint8, or floats.*int64"),
        ("train_images", np.zeros((60, 9, 7), np.uint8, order="F"), r"train_images\.npy is in Fortran order"),
        ("train_images", np.full((60, 9, 7), 1.5), r"train_images\.npy must be .* got values from 1\.5 to 1\.5"),
        ("train_images", np.full((60, 9, 7), 1.00101), r"train_images\.npy must be .* to 1\.00101$"),
        ("train_images", np.full((60, 9, 7), -0.00101), r"train_images\.npy must be .* got values from -0\.00101 "),
        ("train_images", np.full((60, 9, 7), np.nan), r"train_images\.npy must be .* got values from nan to nan"),
        ("train_labels", np.zeros(59, int), r"train_labels\.npy has 59 labels for 60 images"),
        ("train_labels", np.zeros(60), r"train_labels\.npy must be whole numbers, \(N,\); got float64"),
        ("train_labels", np.zeros((60, 1), int), r"train_labels\.npy must be whole numbers.*\(60, 1\)"),
        ("test_labels", np.array([{}]), r"test_labels\.npy is no whole NumPy file of numbers"),
        ("train_images", np.zeros((60, 9, 7), np.longdouble), r"train_images\.npy must be uint8.* got float128"),
        ("train_labels", np.full(60, 2**64 - 5, np.uint64), r"train_labels\.npy has the label 18446744073709551611"),
    ],
)
def test_a_wrong_array_is_named(name: str, array: Any, message: str, some_arrays: Path) -> None:
    np.save(some_arrays / f"{name}.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        everything(Arrays(some_arrays).load("train")[0])


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


def test_a_system_without_posix_fadvise_reads_as_well(some_arrays: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    images = everything(Arrays(some_arrays).load("train")[0])
    np.testing.assert_array_equal(images[:, 0], np.load(some_arrays / "train_images.npy"))


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
