from __future__ import annotations

import os
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
from partae.data.arrays import StoredArray
from partae.data.source import read


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


def saved(folder: Path, kind: str, **arrays: Any) -> Path:
    """Arrays in .npy files or in one .npz file."""
    if kind == "npz":
        np.savez(folder / "all.npz", **arrays)
        return folder / "all.npz"
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


@pytest.mark.parametrize("dtype", ["u1", "<f2", "<f4", ">f4", "<f8"])
@pytest.mark.parametrize("kind", ["npz", "npy"])
@pytest.mark.parametrize(
    ("shape", "axes"),  # of the stored images, and those of N, C, H and W in it
    [
        ((6, 4, 5), None),
        ((6, 1, 4, 5), (0, 1, 2, 3)),
        ((6, 3, 4, 5), (0, 1, 2, 3)),
        ((6, 4, 5, 1), (0, 3, 1, 2)),
        ((6, 4, 5, 3), (0, 3, 1, 2)),
        ((6, 3, 5, 3), (0, 1, 2, 3)),  # the second axis comes first
    ],
)
def test_every_kind_of_pixel_and_every_order_of_axes_is_read(
    dtype: str, shape: tuple[int, ...], axes: tuple[int, ...] | None, kind: str, tmp_path: Path
) -> None:
    values = np.random.default_rng(0).random(shape)
    array = (values * 255 if dtype == "u1" else values).astype(dtype)
    expected = (array.transpose(axes) if axes else array[:, None]).astype(array.dtype.newbyteorder("="))
    source = Arrays(saved(tmp_path, kind, train_images=array, test_images=array))
    images, labels = source.load("train")
    index = torch.tensor([4, 0, 4])
    found = read(images, index)
    np.testing.assert_array_equal(found, expected[index])
    assert found.is_contiguous()  # as another order of axes in memory may be summed in another order
    assert source.image_shape == images.shape[1:] == expected.shape[1:]
    assert source.classes == ()
    assert not labels.any()


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
        ("train_images", np.zeros((5, 9, 7, 2), np.uint8), r"train_images\.npy must hold images.*\(5, 9, 7, 2\)"),
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


def test_a_system_without_posix_fadvise_reads_as_well(some_arrays: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    images = everything(Arrays(some_arrays).load("train")[0])
    np.testing.assert_array_equal(images[:, 0], np.load(some_arrays / "train_images.npy"))
