"""The DataModule: any source's images, split and served in batches on the training device."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, NoReturn

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from partae.checks import InputError, random_seed, real, whole, wholes
from partae.data.batches import Batches, Order, scaled
from partae.data.source import Labelled, Source, Stored, fingerprint_of
from partae.data.streaming import StreamedBatches, Subset, look_at_all, read_all
from partae.morphology import Operator, operate

EXAMPLES = 10  # images that a figure shows
CALIBRATION = 2000  # training images of 28 x 28 pixels that gains are fitted to; fewer of larger ones


class DataModule(LightningDataModule):
    """Serves a source's images as batches of (images (B, C, H, W) in [0, 1], labels (B,)).

    Validation images are cut from the training set; the test images are loaded for testing only. Images live on the
    training device; a set on disk that would take more than ``memory`` stays there and is streamed: the same batches.

    Args:
        source: where images come from.
        image_shape: (C, H, W) that the images must have; None: the source's.
        batch_size: of training; processes that train one model together share it.
        eval_batch_size: of validation and test.
        val_size: number of training images kept for validation, or the share of them if between 0 and 1. With 0 there
            are no ``val/`` measures.
        seed: of the validation split and of the order of the images in each epoch.
        memory: gigabytes that a set may take as floats, at least 0.
        prefetch: number of batches that are read from disk ahead, each by a thread of its own, at least 1.
        fingerprint: of the images of a training; that the source has others now is warned of. None: whatever they are.

    Attributes:
        sets: "train", "val" and "test" images (N, C, H, W) and labels (N,), on the training device.
        streams: the same of sets that stay on disk.

    Raises:
        InputError: if a size or the seed is not a whole number in range.
    """

    def __init__(
        self,
        source: Source,
        image_shape: Sequence[int] | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        val_size: float = 5000,
        seed: int = 0,
        memory: float = 4.0,
        prefetch: int = 4,
        fingerprint: str | None = None,
    ) -> None:
        super().__init__()
        self.source = source
        self.image_shape = wholes("data.image_shape", source.image_shape if image_shape is None else image_shape)
        self.batch_size = whole("data.batch_size", batch_size)
        self.eval_batch_size = whole("data.eval_batch_size", eval_batch_size)
        self.val_size = _val_size(val_size)
        self.seed = random_seed("data.seed", seed)
        self.memory = real("data.memory", memory, low=0)
        self.prefetch = whole("data.prefetch", prefetch)
        self.fingerprint = fingerprint
        self.sets: dict[str, Labelled] = {}
        self.streams: dict[str, tuple[Stored, Tensor]] = {}
        self.operators: tuple[Operator, ...] = ()
        self._operated: dict[str, Tensor] = {}
        self._calibration: dict[str, Tensor] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class; none where there are no labels."""
        return self.source.classes

    @classmethod
    def load_from_checkpoint(cls, *_: Any, **__: Any) -> NoReturn:
        """Lightning's own, which may run what a file brings along, is not to be had.

        Raises:
            InputError: always.
        """
        raise InputError("load_from_checkpoint may run what a file brings along: give data= on the command line")

    def check(self, devices: int = 1) -> None:
        """Fetch what is missing, load the training images and look at the test images: to fail before anything starts.

        Args:
            devices: how many will share the images.

        Raises:
            InputError: if the images are absent, altered, not as the arguments say, or fewer than ``devices``.
        """
        self.prepare_data()
        self.setup("fit")
        images, _ = self._load("test")
        if not isinstance(images, Tensor):  # which have been read
            look_at_all(images, self.prefetch)
        counts = {split: len(self._labels(split)) for split in ("train", "val") if self.has(split)}
        for split, count in {**counts, "test": images.shape[0]}.items():
            if count < devices:
                kind = {"train": "training", "val": "validation"}.get(split, split)
                mend = " or raise data.val_size" if split == "val" else ""
                raise InputError(f"there are {devices} devices, but {count} {kind} images: lower trainer.devices{mend}")

    def prepare_data(self) -> None:
        self.source.prepare()
        if self.fingerprint is not None and self.fingerprint != fingerprint_of(self.source):
            warnings.warn(
                f"the images of data.source{_place(self.source)} are not those that the model was trained on: files "
                "were added, removed or changed since",
                stacklevel=2,
            )

    def setup(self, stage: str) -> None:
        if not self.val_size and self.trainer:
            self.trainer.limit_val_batches = 0
        if stage == "test":
            self._keep("test", *self._load("test"))
        elif "train" in self.streams:
            pass
        elif "train" in self.sets:
            self.sets = {
                split: (images.to(self._device), labels.to(self._device))
                for split, (images, labels) in self.sets.items()
            }
        else:
            images, labels = self._load("train")
            count = images.shape[0]
            share = 0 < self.val_size < 1
            kept = max(1, round(self.val_size * count)) if share else int(self.val_size)
            if kept >= count:
                raise InputError(f"data.val_size must leave some of the {count} images; got {self.val_size}")
            order = torch.randperm(count, generator=torch.Generator().manual_seed(self.seed))
            for split, index in (("val", order[:kept]), ("train", order[kept:])):
                if len(index):
                    part = images[index] if isinstance(images, Tensor) else Subset(images, index)
                    self._keep(split, part, labels[index])

    def operate(self, operators: Sequence[Operator]) -> None:
        """Have each training and validation batch bring along what ``operators`` make of its images, (B, O, C, H, W).

        They are applied once to each set, whatever the number of epochs. Batches come without where a set is streamed,
        or where what the operators make of it would take more than ``memory``.
        """
        if tuple(operators) != self.operators:
            self.operators = tuple(operators)
            self._operated.clear()

    def batches(
        self, split: str, *, shuffled: bool = False, shared: bool = True, operated: bool = False
    ) -> Batches | StreamedBatches:
        """Batches of the "train", "val" or "test" images.

        Args:
            split: which images.
            shuffled: whether in the order of an epoch, or in their own.
            shared: whether processes that train one model together each take their share of each training batch, and of
                the validation and test images; else each takes all.
            operated: whether they bring along what the operators that were given to `operate` make of the images.

        Raises:
            InputError: if the processes cannot share a training batch equally.
        """
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer and shared else (0, 1)
        if self.batch_size % world_size:
            raise InputError(f"data.batch_size must be a multiple of the {world_size} devices; got {self.batch_size}")
        size = self.batch_size // world_size if split == "train" else self.eval_batch_size
        labels = self._labels(split)
        order = Order(len(labels), self.seed if shuffled else None, rank, world_size)
        if split in self.streams:
            return StreamedBatches(self.streams[split][0], labels, size, order, self._device, self.prefetch)
        images = self.sets[split][0]
        return Batches(images, labels, size, order, *(self._of_operators(split) if operated else ()))

    def train_dataloader(self) -> Batches | StreamedBatches:
        return self.batches("train", shuffled=True, operated=True)

    def val_dataloader(self) -> Batches | StreamedBatches:
        return self.batches("val", operated=True)

    def test_dataloader(self) -> Batches | StreamedBatches:
        return self.batches("test")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # it is there already

    def examples(self, split: str) -> tuple[Tensor, list[str]]:
        """Ten images of a split at most, (N, C, H, W), with their names: the first of each of the first classes.

        Where there are no labels, the first images, named by their numbers.
        """
        if split in self.streams:
            stored, labels = self.streams[split]
        else:
            images, labels = self.sets[split]
        if self.classes:
            found = labels.unique()[:EXAMPLES].tolist()
            names = [self.classes[label] for label in found]
            index = torch.stack([(labels == label).nonzero()[0, 0] for label in found])
        else:
            index = torch.arange(min(EXAMPLES, len(labels)), device=labels.device)
            names = [str(number) for number in range(1, len(index) + 1)]
        if split in self.streams:
            return scaled(stored.read(index).to(self._device)), names
        return images[index], names

    def has(self, split: str) -> bool:
        """Whether the "train", "val" or "test" images are loaded."""
        return split in self.sets or split in self.streams

    def first(self, split: str, count: int) -> Tensor:
        """The first images of a split, (N, C, H, W), or all if there are fewer.

        N is ``count`` for images of 28 x 28 pixels, and what takes as much memory for others.
        """
        count = max(1, 28 * 28 * count // math.prod(self.image_shape))
        if split not in self.streams:
            return self.sets[split][0][:count]
        stored, labels = self.streams[split]
        return scaled(stored.read(torch.arange(min(count, len(labels)))).to(self._device))

    def calibration(self, operators: Sequence[Operator]) -> tuple[Tensor, Tensor]:
        """The first training images (N, C, H, W), and what each operator makes of them (N, O, C, H, W).

        N is 2,000 for images of 28 x 28 pixels. Each operator is applied to them once.
        """
        if "images" not in self._calibration:  # read once, where they are on disk
            self._calibration["images"] = self.first("train", CALIBRATION)
        images = self._calibration["images"].to(self._device)
        for each in operators:
            if str(each) not in self._calibration:
                self._calibration[str(each)] = torch.cat([each(part) for part in images.split(500)])
        return images, torch.stack([self._calibration[str(each)].to(images.device) for each in operators], dim=1)

    def labels(self, split: str) -> Tensor:
        """The classes (N,) of the "train", "val" or "test" images, which need not be loaded for that.

        Raises:
            InputError: if there are none.
        """
        if not self.classes:
            raise InputError("an SVM needs labels, but the images of data.source have none: leave svm=none")
        return self._labels(split) if self.has(split) else self.source.load(split)[1]

    def _labels(self, split: str) -> Tensor:
        return (self.streams if split in self.streams else self.sets)[split][1]

    def _load(self, split: str) -> tuple[Tensor | Stored, Tensor]:
        images, labels = self.source.load(split)
        if images.shape[1:] != self.image_shape:
            raise InputError(
                f"data.image_shape={list(self.image_shape)} is not the shape of the {split} images that data.source "
                f"gives, {list(images.shape[1:])}: leave data.image_shape out, or change data.source"
            )
        if not isinstance(images, Tensor) and 4 * math.prod(images.shape) <= self.memory * 1e9:
            images = read_all(images, self.prefetch)
        return images, labels

    def _keep(self, split: str, images: Tensor | Stored, labels: Tensor) -> None:
        if isinstance(images, Tensor):
            self.sets[split] = scaled(images.to(self._device)), labels.to(self._device)
        else:
            self.streams[split] = images, labels

    def _of_operators(self, split: str) -> list[Tensor]:
        """What the operators make of a split's images, (N, O, C, H, W), if there are any and they fit into memory."""
        images = self.sets[split][0]
        if not self.operators or 4 * len(self.operators) * images.numel() > self.memory * 1e9:
            return []
        if split not in self._operated:
            self._operated[split] = torch.cat([operate(part, self.operators) for part in images.split(1000)])
        return [self._operated[split].to(images.device)]

    @property
    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")


def _place(source: Source) -> str:
    """Where a source lies, if it says so."""
    return f".root={root}" if (root := getattr(source, "root", None)) else ""


def _val_size(value: float) -> float:
    """A number of images of at least 0, or a share of them between 0 and 1, checked."""
    if isinstance(value, Real) and 0 < value < 1:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise InputError(f"data.val_size must be a whole number, at least 0, or a share between 0 and 1; got {value!r}")
    return int(value)
