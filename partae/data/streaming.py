"""Batches of images that stay on disk: read ahead by threads, a few at a time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import torch
from torch import Tensor

from partae.data.batches import Order, scaled
from partae.data.source import Labelled, Shape, Stored

CHUNK = 256  # images that a thread reads at a time


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
    """The same batches as `Batches` of the same images, each read from disk by its own thread.

    No more than ``ahead`` + 1 batches are in memory at a time. Batches for a GPU are pinned, so that copying them does
    not hold up the training.

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
        finally:  # also if the epoch is left in the middle
            pool.shutdown(cancel_futures=True)

    def _batch(self, index: Tensor) -> Labelled:
        images, labels = self.images.read(index), self.labels[index]
        if self.device.type == "cuda":
            images, labels = images.pin_memory(), labels.pin_memory()
        return scaled(images.to(self.device, non_blocking=True)), labels.to(self.device, non_blocking=True)


def read_all(images: Stored, threads: int) -> Tensor:
    """All images of a store, (N, C, H, W), read by some threads."""
    every, start = torch.empty(0), 0
    for chunk in _in_chunks(images, threads):
        if start == 0:  # filled chunk by chunk: to put them together at the end would take the memory twice
            every = torch.empty(images.shape, dtype=chunk.dtype)
        every[start : start + len(chunk)] = chunk
        start += len(chunk)
    return every


def read_through(images: Stored, threads: int) -> None:
    """Read all images of a store once and keep none, so that one that cannot be read raises."""
    for _ in _in_chunks(images, threads):
        pass


def _in_chunks(images: Stored, threads: int) -> Iterator[Tensor]:
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(images.read, torch.arange(images.shape[0]).split(CHUNK))
