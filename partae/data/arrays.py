"""Images in NumPy's files: a folder of .npy files, which may be larger than memory, or one .npz file."""

from __future__ import annotations

import os
import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from partae.checks import ROUNDING, InputError, whole
from partae.data.levels import check_levels
from partae.data.source import Shape, Stored
from partae.files import fingerprint

NAMES = ("train_images", "train_labels", "test_images", "test_labels")
KINDS = "uint8, or floats in [0, 1]"


class Arrays:
    """Arrays named train_images and test_images and, if there are labels, train_labels and test_labels.

    Images are (N, H, W), (N, C, H, W) or (N, H, W, C) with 1 or 3 channels, uint8 or floats in [0, 1]. Where both the
    second axis and the last could be channels, the second is. Floats outside by less than a thousandth count as
    rounding and are clipped. Labels are whole numbers, (N,).

    Args:
        root: a folder with ``train_images.npy`` and the others, or an .npz file. Arrays of a folder are read from disk
            when they are needed, so that they may be larger than memory.
        maximum: the value in [1, 255] of a white pixel in uint8 images. None: 255, and images whose brightest level
            is between 1 and 16 are refused.

    Raises:
        InputError: if ``root`` is neither, or ``maximum`` is out of range.
    """

    def __init__(self, root: str | Path, maximum: int | None = None) -> None:
        self.root = Path(root)
        self.maximum = None if maximum is None else whole("data.source.maximum", maximum, maximum=255)
        if not self.root.exists():
            raise InputError(f"data.source.root={root} does not exist: name a folder of .npy files or an .npz file")
        if self.root.is_file() and self.root.suffix != ".npz":
            raise InputError(f"data.source.root={root} must be a folder of .npy files or an .npz file")

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self._images("train").shape[1:]

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The labels that occur, in ascending order."""
        train, test = self._labels("train"), self._labels("test")
        return () if train is None or test is None else tuple(map(str, np.union1d(train, test).tolist()))

    def fingerprint(self) -> str:
        """What distinguishes these arrays from others."""
        if self.root.is_file():
            return fingerprint({"": self.root}, 1024)
        return fingerprint({file.name: file for name in NAMES if (file := self.root / f"{name}.npy").exists()}, 1024)

    def load(self, split: str) -> tuple[Tensor | Stored, Tensor]:
        """Images and labels (N,) of the "train" or "test" set.

        Raises:
            InputError: if an array is missing, truncated or of another kind; the message names its file.
        """
        images = self._images(split)
        labels = self._labels(split)
        if labels is None:
            return images, torch.zeros(images.shape[0], dtype=torch.int64)
        if len(labels) != images.shape[0]:
            raise InputError(f"{self._place(f'{split}_labels')} has {len(labels)} labels for {images.shape[0]} images")
        classes = np.array([int(name) for name in self.classes])
        return images, torch.from_numpy(np.searchsorted(classes, labels))

    def _images(self, split: str) -> StoredArray | Tensor:
        name = f"{split}_images"
        place = self._place(name)
        array = self._array(name)
        if array is None:
            raise InputError(f"{place} is missing: data.source.root needs train_images and test_images")
        shape = array.shape if array.ndim == 4 else (*array.shape[:1], 1, *array.shape[1:])
        axes = [axis for axis in (1, 3) if len(shape) == 4 and shape[axis] in (1, 3)]
        if not axes or 0 in shape:
            raise InputError(
                f"{place} must hold images, (N, H, W), (N, C, H, W) or (N, H, W, C) with C of 1 or 3; got shape "
                f"{array.shape}"
            )
        if array.dtype != np.uint8 and (array.dtype.kind != "f" or array.dtype.itemsize > 8):
            raise InputError(f"{place} must be {KINDS}; got {array.dtype}")
        if self.maximum is not None and array.dtype != np.uint8:
            raise InputError(f"data.source.maximum is for uint8 images, but {place} is {array.dtype}: leave it null")
        if isinstance(array, np.memmap):
            if not array.flags.c_contiguous:
                raise InputError(f"{place} is in Fortran order: save numpy.ascontiguousarray of it")
            images: StoredArray | Tensor = StoredArray(
                Path(place), array.offset, array.dtype, shape, self.maximum, axes[0]
            )
        else:
            images = torch.from_numpy(array.astype(array.dtype.newbyteorder("="))).view(shape)
            images = _in_range(images.movedim(axes[0], 1).contiguous(), self.maximum, place)
        if self.maximum is None and array.dtype == np.uint8:
            check_levels(images, place, "give data.source.maximum={largest}, or whatever value is white")
        return images

    def _labels(self, split: str) -> NDArray[np.int64] | None:
        """The labels of a set as the file has them; None if neither set has labels."""
        name, other = f"{split}_labels", f"{'test' if split == 'train' else 'train'}_labels"
        labels = self._array(name)
        if labels is None:
            if self._array(other) is not None:
                raise InputError(f"{self._place(name)} is missing, but {other} is there: give both or neither")
            return None
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise InputError(
                f"{self._place(name)} must be whole numbers, (N,); got {labels.dtype} of shape {labels.shape}"
            )
        if len(labels) and labels.max() > np.iinfo(np.int64).max:
            raise InputError(f"{self._place(name)} has the label {labels.max()}, which is no int64")
        return labels.astype(np.int64)

    def _place(self, name: str) -> str:
        return str(self.root / f"{name}.npy") if self.root.is_dir() else f"{self.root}[{name}]"

    def _array(self, name: str) -> NDArray[Any] | None:
        """An array by its name, mapped if it is a file of its own; None if it is missing."""
        try:
            if self.root.is_dir():
                path = self.root / f"{name}.npy"
                if not (path.exists() or path.is_symlink()):  # a broken link is an error below
                    return None
                # a map takes no memory until it is read, and fails if the file is truncated
                return np.load(path, mmap_mode="r", allow_pickle=False)
            with np.load(self.root, allow_pickle=False) as arrays:
                return arrays.get(name)
        except (AttributeError, EOFError, OSError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{self._place(name)} is no whole NumPy file of numbers ({error})") from error


class StoredArray:
    """Images that stay in a .npy file until they are read.

    Args:
        path: the file.
        offset: where the first image begins, in bytes.
        dtype: of the pixels.
        stored: the shape in the file, (N, C, H, W) or (N, H, W, C).
        maximum: if given, the value of a white pixel: uint8 images are divided by it.
        channels: the axis of C in ``stored``, 1 or 3.

    Attributes:
        shape: (N, C, H, W).
    """

    def __init__(
        self,
        path: Path,
        offset: int,
        dtype: np.dtype[Any],
        stored: Shape,
        maximum: int | None = None,
        channels: int = 1,
    ) -> None:
        self.path, self.offset, self.dtype, self.stored = path, offset, dtype, stored
        self.maximum, self.channels = maximum, channels
        self.shape: Shape = stored if channels == 1 else (stored[0], stored[3], stored[1], stored[2])

    def read(self, index: Tensor) -> Tensor:
        """The images at ``index`` (B,), (B, C, H, W), uint8 in [0, 255] or floats in [0, 1].

        They are read, not mapped: the pages of a map count as this process's memory until it is closed.

        Raises:
            InputError: if the file cannot be read or a value is out of range; the message names the file.
        """
        images = np.empty((len(index), *self.stored[1:]), self.dtype)
        size = images[0].nbytes if len(images) else 0
        buffer = images.reshape(-1).view(np.uint8).data
        try:
            with self.path.open("rb", buffering=0) as file:
                if hasattr(os, "posix_fadvise"):  # images come in any order, so that reading ahead is in vain
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
                for position, image in enumerate(index.tolist()):
                    file.seek(self.offset + image * size)
                    if file.readinto(buffer[position * size : (position + 1) * size]) != size:
                        raise InputError(f"{self.path} has become shorter during its use")
        except OSError as error:
            raise InputError(f"{self.path} cannot be read ({error.strerror})") from error
        native = torch.from_numpy(images.astype(self.dtype.newbyteorder("="), copy=False))
        return _in_range(native.movedim(self.channels, 1).contiguous(), self.maximum, str(self.path))


def _in_range(images: Tensor, maximum: int | None, place: str) -> Tensor:
    """Images whose values were checked: uint8 or floats in [0, 1]; with ``maximum``, uint8 divided by it."""
    if images.dtype == torch.uint8 and maximum is None:
        return images
    low, high = (each.item() for each in torch.aminmax(images)) if images.numel() else (0, 0)
    if maximum is not None:
        if high > maximum:
            raise InputError(f"{place} has a value of {high}, which is above data.source.maximum={maximum}")
        return images.float() / maximum
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # NaN fails both
        raise InputError(f"{place} must be {KINDS}; got values from {low} to {high}")
    return images if low >= 0 and high <= 1 else images.clamp_(0, 1)
