"""The DataModule: any source's images, split and served in batches on the training device."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from partae.checks import InputError, random_seed, real, whole, wholes
from partae.data.batches import Batches, Order, scaled
from partae.data.indices import check_val_size, first_of_each_class, validation_split
from partae.data.source import Labelled, Source, Stored, checked, fingerprint_of, load, place_of, read
from partae.data.streaming import StreamedBatches, Subset, read_all, read_through
from partae.morphology import Operator, operate

CALIBRATION = 2000  # training images of 28 x 28 pixels to which gains are fitted; fewer of larger ones


class DataModule(LightningDataModule):
    """Serves a source's images as batches of (images (B, C, H, W) in [0, 1], labels (B,)).

    Validation images are cut from the training set. Each set is loaded once. Images live on the training device; a set
    on disk that would take more than ``memory`` stays there and is streamed in the same batches.

    Args:
        source: where images come from.
        image_shape: (C, H, W) that the images must have; None: the source's.
        batch_size: of training; processes that train one model together share it.
        eval_batch_size: of validation and test.
        val_size: number of training images kept for validation, or their share if between 0 and 1; 0: no validation.
        seed: of the validation split and of the order of the images in each epoch.
        memory: gigabytes that a set may take as floats, at least 0.
        prefetch: number of batches that are read from disk ahead, each by its own thread, at least 1.
        fingerprint: of the images of an earlier training; a warning says if the source has others now. None: no check.

    Attributes:
        sets: "train", "val" and "test" images (N, C, H, W) and labels (N,), on the training device.
        streams: the same of sets that stay on disk.

    Raises:
        InputError: if a size or the seed is not a whole number in range, or ``source`` is no source.
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
        self.source = checked(source)
        self.image_shape = wholes("data.image_shape", source.image_shape if image_shape is None else image_shape)
        self.batch_size = whole("data.batch_size", batch_size)
        self.eval_batch_size = whole("data.eval_batch_size", eval_batch_size)
        self.val_size = check_val_size(val_size)
        self.seed = random_seed("data.seed", seed)
        self.memory = real("data.memory", memory, low=0)
        self.prefetch = whole("data.prefetch", prefetch)
        self.fingerprint = fingerprint
        self.sets: dict[str, Labelled] = {}
        self.streams: dict[str, tuple[Stored, Tensor]] = {}
        self.operators: tuple[Operator, ...] = ()
        self._operated: dict[str, tuple[tuple[Operator, ...], Tensor]] = {}
        self._calibration: Tensor | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class; none where there are no labels."""
        return self.source.classes

    @classmethod
    def load_from_checkpoint(cls, *_: Any, **__: Any) -> NoReturn:
        """Lightning's method is disabled: it raises InputError, since it may run code that a file contains."""
        raise InputError("load_from_checkpoint may run code that a file contains: give data= on the command line")

    def check(self, devices: int = 1) -> None:
        """Load the training images and read the test images once, so that what is wrong with them shows at once.

        Args:
            devices: how many will share the images.

        Raises:
            InputError: if images are missing, damaged, not as the arguments say, or fewer than ``devices``.
        """
        self.prepare_data()
        self.setup("fit")
        self.setup("test")
        if "test" in self.streams:  # images in memory have been read
            read_through(self.streams["test"][0], self.prefetch)
        counts = {split: len(self._set(split)[1]) for split in ("train", "val", "test") if self.has(split)}
        for split, count in counts.items():
            if count < devices:
                mend = " or raise data.val_size" if split == "val" else ""
                raise InputError(f"{devices} devices cannot share {count} {split} images: lower trainer.devices{mend}")

    def prepare_data(self) -> None:
        getattr(self.source, "prepare", lambda: None)()
        if self.fingerprint is not None and self.fingerprint != fingerprint_of(self.source):
            warnings.warn(
                f"the images of {place_of(self.source)} are not those that the model was trained "
                "on: files were added, removed or changed",
                stacklevel=2,
            )

    def setup(self, stage: str) -> None:
        if not self.val_size and self.trainer:
            self.trainer.limit_val_batches = 0
        if self.has("test" if stage == "test" else "train"):
            for name, (images, labels) in self.sets.items():  # the device may be another now
                self.sets[name] = images.to(self._device), labels.to(self._device)
        elif stage == "test":
            self._keep("test", *self._load("test"))
        else:
            every, labels = self._load("train")
            for name, index in validation_split(len(labels), self.val_size, self.seed).items():
                some = every[index] if isinstance(every, Tensor) else Subset(every, index)
                self._keep(name, some, labels[index])

    def operate(self, operators: Sequence[Operator]) -> None:
        """Let each training and validation batch bring along its operated images, (B, O, C, H, W).

        Each operator is applied once to each set, whatever the number of epochs. Batches come without operated images
        where a set is streamed, or where they would take more than ``memory``.
        """
        self.operators = tuple(operators)

    def batches(
        self, split: str, *, shuffled: bool = False, shared: bool = True, operated: bool = False
    ) -> Batches | StreamedBatches:
        """Batches of the "train", "val" or "test" images.

        Args:
            split: which images.
            shuffled: whether in the order of an epoch, or in their own.
            shared: whether each of several processes that train one model takes its share of each training batch, and
                of the validation and test images; else each takes all.
            operated: whether they bring along the images operated on by `operators`.

        Raises:
            InputError: if the processes cannot share a training batch equally.
        """
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer and shared else (0, 1)
        if self.batch_size % world_size:
            raise InputError(f"data.batch_size must be a multiple of the {world_size} devices; got {self.batch_size}")
        size = self.batch_size // world_size if split == "train" else self.eval_batch_size
        images, labels = self._set(split)
        order = Order(len(labels), self.seed if shuffled else None, rank, world_size)
        if not isinstance(images, Tensor):
            return StreamedBatches(images, labels, size, order, self._device, self.prefetch)
        fits = 4 * len(self.operators) * images.numel() <= self.memory * 1e9
        more = [self._of_operators(split, images, self.operators)] if operated and self.operators and fits else []
        return Batches(images, labels, size, order, *more)

    def train_dataloader(self) -> Batches | StreamedBatches:
        return self.batches("train", shuffled=not getattr(self.trainer, "overfit_batches", 0), operated=True)

    def val_dataloader(self) -> Batches | StreamedBatches:
        return self.batches("val", operated=True)

    def test_dataloader(self) -> Batches | StreamedBatches:
        return self.batches("test")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # it is there already

    def has(self, split: str) -> bool:
        """Whether the "train", "val" or "test" images are loaded."""
        return split in self.sets or split in self.streams

    def examples(self, split: str) -> tuple[Tensor, list[str]]:
        """The first image of each of the first ten classes, (N, C, H, W), and their names.

        Where there are no labels, the first ten images, named by their numbers.
        """
        index, names = first_of_each_class(self._set(split)[1], self.classes)
        return self.read(split, index), names

    def first(self, split: str, count: int) -> Tensor:
        """The first `as_many` images of a split, (N, C, H, W), or all if there are fewer."""
        return self.read(split, torch.arange(min(self.as_many(count), len(self._set(split)[1]))))

    def as_many(self, count: int) -> int:
        """The number of images that take as much memory as ``count`` images of 28 x 28 pixels, at least 1."""
        return max(1, 28 * 28 * count // math.prod(self.image_shape))

    def calibration(self, operators: Sequence[Operator]) -> tuple[Tensor, Tensor]:
        """The first training images (N, C, H, W), and the operated ones (N, O, C, H, W).

        N is 2,000 for images of 28 x 28 pixels.
        """
        if self._calibration is None:
            self._calibration = self.first("train", CALIBRATION)
        images = self._calibration.to(self._device)
        return images, self._of_operators("calibration", images, tuple(operators))

    def labels(self, split: str) -> Tensor:
        """The classes (N,) of the "train", "val" or "test" images, which need not be loaded.

        Raises:
            InputError: if there are none.
        """
        if not self.classes:
            raise InputError("an SVM needs labels, but the images of data.source have none: leave svm=none")
        return self._set(split)[1] if self.has(split) else self.source.load(split)[1]

    def _set(self, split: str) -> tuple[Tensor | Stored, Tensor]:
        return self.streams[split] if split in self.streams else self.sets[split]

    def read(self, split: str, index: Tensor) -> Tensor:
        """The images of a split at ``index`` (B,), (B, C, H, W)."""
        return scaled(read(self._set(split)[0], index).to(self._device))

    def _load(self, split: str) -> tuple[Tensor | Stored, Tensor]:
        images, labels = load(self.source, split)
        if images.shape[1:] != self.image_shape:
            raise InputError(
                f"the {split} images of {place_of(self.source)} have the shape "
                f"{list(images.shape[1:])}, but data.image_shape={list(self.image_shape)}: training and test images "
                "must have the same, and data.image_shape can be left out"
            )
        if not isinstance(images, Tensor) and 4 * math.prod(images.shape) <= self.memory * 1e9:
            images = read_all(images, self.prefetch)
        return images, labels

    def _keep(self, split: str, images: Tensor | Stored, labels: Tensor) -> None:
        if isinstance(images, Tensor):
            self.sets[split] = scaled(images.to(self._device)), labels.to(self._device)
        else:
            self.streams[split] = images, labels

    def _of_operators(self, name: str, images: Tensor, operators: tuple[Operator, ...]) -> Tensor:
        """The operated ``images`` (N, O, C, H, W), which are kept under ``name`` for the next time."""
        if name not in self._operated or self._operated[name][0] != operators:
            self._operated[name] = operators, operate(images, operators)
        return self._operated[name][1].to(images.device)

    @property
    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
