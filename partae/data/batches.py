"""Batches of images that live on the training device."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


class Order:
    """The order in which an epoch visits the images: a pure function of (``seed``, epoch).

    Lightning calls `set_epoch` before each epoch, so that a resumed run sees the same orders as an uninterrupted one.

    Args:
        size: number of images.
        seed: of the shuffle; None keeps the images' own order.
        rank: of this process.
        world_size: number of processes. Each takes every ``world_size``-th image; a shuffled order drops the last few
            images, so that all processes take equally many.
    """

    def __init__(self, size: int, seed: int | None = None, rank: int = 0, world_size: int = 1) -> None:
        self.size, self.seed, self.rank, self.world_size = size, seed, rank, world_size
        self.epoch = 0

    def __len__(self) -> int:
        return len(range(self.rank, self._end, self.world_size))

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose order `indices` gives."""
        self.epoch = epoch

    def indices(self) -> Tensor:
        """This process's images in the order of the epoch, (N,) of int64."""
        if self.seed is None:
            order = torch.arange(self.size)
        else:
            state = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)[0])
            order = torch.randperm(self.size, generator=torch.Generator().manual_seed(state))
        return order[self.rank : self._end : self.world_size]

    @property
    def _end(self) -> int:
        return self.size if self.seed is None else self.size - self.size % self.world_size


class Batches:
    """Iterates over (images (B, C, H, W), labels (B,), ...); the last batch of an epoch may be smaller, none is empty.

    Args:
        images: all images, (N, C, H, W), on the training device.
        labels: their classes, (N,), on the same device.
        batch_size: B.
        order: which images come when.
        more: other values of each image, (N, ...), on the same device.
    """

    def __init__(self, images: Tensor, labels: Tensor, batch_size: int, order: Order, *more: Tensor) -> None:
        self.images, self.labels, self.batch_size, self.more = images, labels, batch_size, more
        # Lightning looks for `set_epoch` under these names
        self.sampler, self.batch_sampler = order, None

    def __len__(self) -> int:
        return math.ceil(len(self.sampler) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        indices = self.sampler.indices().to(self.images.device)
        for start in range(0, len(indices), self.batch_size):
            index = indices[start : start + self.batch_size]
            yield tuple(each.index_select(0, index) for each in (self.images, self.labels, *self.more))


def scaled(images: Tensor) -> Tensor:
    """Images as floats in [0, 1], from uint8 in [0, 255] or from such floats."""
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()
