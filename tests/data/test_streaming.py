from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from partae.checks import InputError
from partae.data import Arrays, Batches, DataModule, Folder, StreamedBatches
from partae.data.batches import Order
from partae.data.source import Shape

CPU = torch.device("cpu")


class Noted:
    """Images whose pixel is their number; tells which are being read, and how many batches are kept."""

    def __init__(self, count: int, pause: float = 0.0) -> None:
        self.shape: Shape = (count, 1, 1, 1)
        self.pause, self.read_so_far, self.lock = pause, 0, threading.Lock()

    def read(self, index: Tensor) -> Tensor:
        time.sleep(self.pause * float(index[0] % 3))  # so that batches are ready out of order
        with self.lock:
            self.read_so_far += 1
        if (index == 13).any():
            raise InputError("image 13 cannot be read")
        return index.float().view(-1, 1, 1, 1) / self.shape[0]


def streamed(count: int, batch_size: int, ahead: int, pause: float = 0.0) -> tuple[StreamedBatches, Noted]:
    images = Noted(count, pause)
    return StreamedBatches(images, torch.arange(count), batch_size, Order(count, seed=1), CPU, ahead), images


@pytest.mark.parametrize("batch_size", [1, 4, 12, 13])
@pytest.mark.parametrize("ahead", [1, 3, 50])
def test_batches_are_those_of_images_in_memory(batch_size: int, ahead: int) -> None:
    batches, images = streamed(12, batch_size, ahead, pause=0.002)
    every = images.read(torch.arange(12))
    for epoch in range(2):
        kept = Batches(every, torch.arange(12), batch_size, Order(12, seed=1))
        for each in (batches, kept):
            each.sampler.set_epoch(epoch)
        assert len(batches) == len(kept)
        for (found, labels), (expected, expected_labels) in zip(batches, kept, strict=True):
            assert torch.equal(found, expected)
            assert torch.equal(labels, expected_labels)


def test_no_more_is_read_ahead_than_asked() -> None:
    batches, images = streamed(12, 1, 3)
    for taken, _ in enumerate(batches, start=1):
        time.sleep(0.005)
        assert images.read_so_far <= taken + 3


def test_an_epoch_left_in_the_middle_ends_its_threads() -> None:
    before = threading.active_count()
    batches, images = streamed(12, 1, 3)
    iterator: Any = iter(batches)
    next(iterator)
    iterator.close()
    assert threading.active_count() == before
    assert images.read_so_far < 12


def test_an_image_that_cannot_be_read_stops_the_epoch_with_its_message() -> None:
    batches, _ = streamed(20, 4, 3)
    with pytest.raises(InputError, match="image 13 cannot be read"):
        list(batches)


def loaded(source: Any, memory: float) -> DataModule:
    data = DataModule(source, val_size=0.25, memory=memory, batch_size=7, eval_batch_size=10)
    data.check()
    data.setup("test")
    return data


@pytest.mark.parametrize("kind", ["arrays", "folder"])
def test_streamed_and_kept_images_are_served_alike(kind: str, some_arrays: Path, images_of_odd_sizes: Path) -> None:
    source = Arrays(some_arrays) if kind == "arrays" else Folder(images_of_odd_sizes, size=(8, 6))
    kept, streams = loaded(source, memory=1), loaded(source, memory=0)
    assert not kept.streams
    assert not streams.sets
    for split in ("train", "val", "test"):
        for shuffled in (False, True):
            both = [data.batches(split, shuffled=shuffled) for data in (kept, streams)]
            for batches in both:
                batches.sampler.set_epoch(3)
            for (images, labels), (expected, expected_labels) in zip(*both, strict=True):
                assert torch.equal(images, expected)
                assert torch.equal(labels, expected_labels)
        (images, names), (expected, expected_names) = (data.examples(split) for data in (kept, streams))
        assert torch.equal(images, expected)
        assert names == expected_names


@pytest.mark.parametrize("memory", [0, 1])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.unlink(), "test_images.npy is missing"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "test_images.npy is no whole NumPy file"),
        (lambda file: np.save(file, np.full((20, 9, 7), np.nan)), "test_images.npy must be uint8, or floats in"),
        (lambda file: np.save(file, np.zeros((20, 9, 8))), "the test images of data.source.* have the shape"),
        (lambda file: np.save(file, np.zeros((19, 9, 7))), "has 20 labels for 19 images"),
    ],
    ids=["missing", "truncated", "not a number", "another size", "fewer"],
)
def test_a_test_set_that_cannot_be_used_is_found_before_the_training(
    spoil: Callable[[Path], Any], message: str, memory: float, some_arrays: Path
) -> None:
    spoil(some_arrays / "test_images.npy")
    with pytest.raises(InputError, match=message):
        DataModule(Arrays(some_arrays), val_size=0.25, memory=memory).check()


def test_images_that_changed_since_the_training_are_warned_of(some_arrays: Path) -> None:
    known = Arrays(some_arrays).fingerprint()
    DataModule(Arrays(some_arrays), val_size=0.25, fingerprint=known).prepare_data()
    np.save(some_arrays / "test_images.npy", np.zeros((20, 9, 7)))
    with pytest.warns(UserWarning, match=r"images of data\.source\.root=.*arrays are not those that the model was"):
        DataModule(Arrays(some_arrays), val_size=0.25, fingerprint=known).prepare_data()


def test_memory_decides_what_is_streamed(some_arrays: Path) -> None:
    train, test = 4 * 60 * 63 / 1e9, 4 * 20 * 63 / 1e9
    assert set(loaded(Arrays(some_arrays), train).sets) == {"train", "val", "test"}
    between = loaded(Arrays(some_arrays), (train + test) / 2)
    assert set(between.streams) == {"train", "val"}
    assert set(between.sets) == {"test"}
