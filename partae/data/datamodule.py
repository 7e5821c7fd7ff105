"""The DataModule: any source's images, split and served in batches on the training device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor

from partae.checks import InputError, whole, wholes
from partae.data.batches import Batches, Order
from partae.data.source import Labelled, Source


class DataModule(LightningDataModule):
    """Serves a source's images as batches of (images (B, C, H, W) in [0, 1], labels (B,)).

    Validation images are cut from the training set; the test images are loaded for testing only.

    Args:
        source: where images come from.
        image_shape: (C, H, W) that the images must have.
        batch_size: of training; processes that train one model together share it.
        eval_batch_size: of validation and test.
        val_size: number of training images kept for validation.
        seed: of the validation split and of the order of the images in each epoch.

    Raises:
        InputError: if a size or the seed is not a whole number in range.
    """

    def __init__(
        self,
        source: Source,
        image_shape: Sequence[int],
        batch_size: int = 128,
        eval_batch_size: int = 1000,
        val_size: int = 5000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.source = source
        self.image_shape = wholes("data.image_shape", image_shape)
        self.batch_size = whole("data.batch_size", batch_size)
        self.eval_batch_size = whole("data.eval_batch_size", eval_batch_size)
        self.val_size = whole("data.val_size", val_size)
        self.seed = whole("data.seed", seed, minimum=0)
        self.sets: dict[str, Labelled] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class."""
        return self.source.classes

    def check(self) -> None:
        """Fetch what is missing and load the training images, to fail before anything else starts.

        Raises:
            InputError: if the images are absent, altered, or not as the arguments say.
        """
        self.prepare_data()
        self.setup("fit")

    def prepare_data(self) -> None:
        self.source.prepare()

    def setup(self, stage: str) -> None:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if stage == "test":
            self._keep("test", *self._load("test"), device)
        elif "train" in self.sets:
            self.sets = {split: (images.to(device), labels.to(device)) for split, (images, labels) in self.sets.items()}
        else:
            images, labels = self._load("train")
            if self.val_size >= len(images):
                raise InputError(f"data.val_size must leave some of the {len(images)} images; got {self.val_size}")
            order = torch.randperm(len(images), generator=torch.Generator().manual_seed(self.seed))
            for split, index in (("val", order[: self.val_size]), ("train", order[self.val_size :])):
                self._keep(split, images[index], labels[index], device)

    def batches(self, split: str, *, shuffled: bool = False, shared: bool = True) -> Batches:
        """Batches of the "train", "val" or "test" images.

        Args:
            split: which images.
            shuffled: whether in the order of an epoch, or in their own.
            shared: whether processes that train one model together each take their share of each training batch, and of
                the validation and test images; else each takes all.

        Raises:
            InputError: if the processes cannot share a training batch equally.
        """
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer and shared else (0, 1)
        if self.batch_size % world_size:
            raise InputError(f"data.batch_size must be a multiple of the {world_size} devices; got {self.batch_size}")
        images, labels = self.sets[split]
        order = Order(len(images), self.seed if shuffled else None, rank, world_size)
        size = self.batch_size // world_size if split == "train" else self.eval_batch_size
        return Batches(images, labels, size, order)

    def train_dataloader(self) -> Batches:
        return self.batches("train", shuffled=True)

    def val_dataloader(self) -> Batches:
        return self.batches("val")

    def test_dataloader(self) -> Batches:
        return self.batches("test")

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # it is there already

    def one_per_class(self, split: str) -> Labelled:
        """The first image of each class in a split: images (N, C, H, W), labels (N,)."""
        images, labels = self.sets[split]
        first = [int((labels == label).nonzero()[0]) for label in labels.unique()]
        return images[first], labels[first]

    def _load(self, split: str) -> Labelled:
        images, labels = self.source.load(split)
        if images.shape[1:] != self.image_shape:
            raise InputError(
                f"data.image_shape={list(self.image_shape)} is not the shape of the images, {list(images.shape[1:])}"
            )
        return images, labels

    def _keep(self, split: str, images: Tensor, labels: Tensor, device: torch.device) -> None:
        images = images.to(device)
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images.float()
        self.sets[split] = scaled, labels.to(device)
