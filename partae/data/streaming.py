"""Batches of images that stay on disk: read ahead by threads, a few at a time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import torch
from torch import Tensor

from partae.data.batches import Order, scaled
from partae.data.source import Labelled, Shape, Stored

CHUNK = 256  # images that a thread reads at once into memory


class Subset:
    """Some of the images of a store.

    Args:
        images: all of them.
        index: which, (N,).
    """

    def __init__(self, images: Stored, index: Tensor) -> None:
        self.images, self.index = images, index

    @property
    def shape(self) -> Shape:
        return (len(self.index), *self.images.shape[1:])

    def read(self, index: Tensor) -> Tensor:
        return self.images.read(self.index[index])


class StreamedBatches:
    """The batches that `Batches` would give of the same images, each read from disk by a thread of its own.

    No more than ``ahead`` + 1 batches are in memory at a time. On their way to a GPU they are pinned, so that copying
    them does not hold up the training.

    Args:
        images: all images.
        labels: their classes, (N,).
        batch_size: B.
        order: which images come when.
        device: where batches are wanted.
        ahead: how many batches are read while one is in use, at least 1.
    """

    def __init__(
        self, images: Stored, labels: Tensor, batch_size: int, order: Order, device: torch.device, ahead: int
    ) -> None:
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.sampler, self.batch_sampler = order, None  # as in `Batches`
        self.device, self.ahead = device, ahead

    def __len__(self) -> int:
        return math.ceil(len(self.sampler) / self.batch_size)

    def __iter__(self) -> Iterator[Labelled]:
        indices = iter(self.sampler.indices().split(self.batch_size))
        pool = ThreadPoolExecutor(self.ahead, thread_name_prefix="images")
        try:
            reading: deque[Future[Labelled]] = deque(
                pool.submit(self._batch, each) for each in islice(indices, self.ahead)
            )
            while reading:
                batch = reading.popleft().result()
                reading.extend(pool.submit(self._batch, each) for each in islice(indices, 1))
                yield batch
        finally:  # also where somebody stops in the middle of an epoch
            pool.shutdown(cancel_futures=True)

    def _batch(self, index: Tensor) -> Labelled:
        images, labels = self.images.read(index), self.labels[index]
        if self.device.type == "cuda":
            images, labels = images.pin_memory(), labels.pin_memory()
        return scaled(images.to(self.device, non_blocking=True)), labels.to(self.device, non_blocking=True)


def read_all(images: Stored, threads: int) -> Tensor:
    """All images of a store, (N, C, H, W), read by some threads."""
    first = images.read(torch.arange(min(1, images.shape[0])))
    whole = torch.empty(images.shape, dtype=first.dtype)

    def fill(index: Tensor) -> None:
        whole[index[0] : index[-1] + 1] = images.read(index)

    _in_chunks(fill, images.shape[0], threads)
    return whole


def look_at_all(images: Stored, threads: int) -> None:
    """Read all images of a store once and keep none, to find those that cannot be read."""

    def look(index: Tensor) -> None:
        images.read(index)

    _in_chunks(look, images.shape[0], threads)


def _in_chunks(work: Callable[[Tensor], None], count: int, threads: int) -> None:
    """Do ``work`` on the numbers below ``count``, a chunk at a time in each of some threads."""
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, index) for index in torch.arange(count).split(CHUNK)]:
            done.result()
