"""A folder of image files."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS

from partae.checks import InputError, real, whole, wholes
from partae.data.decoding import read_image, read_shape
from partae.data.levels import check_levels
from partae.data.source import Shape
from partae.files import fingerprint

SETS = ("train", "test")
LIKE_SETS = ("training", "trn", "testing", "tst", "validation", "valid", "val", "evaluation", "eval", "dev")


@dataclass(frozen=True)
class ImageFile:
    """An image file, its set ("train" or "test") and its class ("" if it has none)."""

    path: Path
    split: str
    label: str


class Folder:
    """Images of any size, grey or in colour: PNG, JPEG, TIFF, WebP, BMP, PGM or PPM.

    Subfolders are classes, ``<root>/<class>/.../<image>``; images directly in the folder have none. If there are
    ``<root>/train`` and ``<root>/test``, in capitals or not, these are the two sets, with classes below them, and
    nothing else is read: validation images are cut from the training set. Otherwise about ``test_share`` of the images
    are drawn for the test set. The path of an image below ``root`` and ``seed`` alone decide that, so that images
    which come or go move no other image to the other set.

    A photograph is turned as its camera says, and transparent pixels show ``background``. Hidden files and files of
    other kinds are ignored. Other pixels (16 bits a channel, CMYK) and files of several images are refused.

    Args:
        root: the folder.
        size: [height, width] to which images are stretched; None: their own, which must be the same for all.
        channels: 1 (grey) or 3 (colour); None: the images' own, which must be the same for all.
        test_share: probability that an image is drawn for the test set, in (0, 1).
        seed: of that draw.
        background: grey level in [0, 255] behind transparent pixels.

    Raises:
        InputError: if a value is out of range.
    """

    def __init__(
        self,
        root: str | Path,
        size: Sequence[int] | None = None,
        channels: int | None = None,
        test_share: float = 0.2,
        seed: int = 0,
        background: int = 0,
    ) -> None:
        self.root = Path(root)
        self.size = None if size is None else wholes("data.source.size", size)
        if self.size is not None and len(self.size) != 2:
            raise InputError(f"data.source.size must be [height, width]; got {list(self.size)}")
        if channels not in (None, 1, 3):
            raise InputError(f"data.source.channels must be 1 (grey), 3 (colour) or null; got {channels!r}")
        self.channels = channels
        self.test_share = real("data.source.test_share", test_share, 0, 1, low_open=True, high_open=True)
        self.seed = whole("data.source.seed", seed, minimum=0)
        self.background = whole("data.source.background", background, minimum=0, maximum=255)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({file.label for file in self._files} - {""}))

    @cached_property
    def image_shape(self) -> tuple[int, ...]:
        """(C, H, W), the first image's where the arguments leave it open."""
        if self.size and self.channels:
            return (self.channels, *self.size)
        channels, *size = read_shape(self._files[0].path)
        return (self.channels or channels, *(self.size or size))

    def fingerprint(self) -> str:
        """What distinguishes these images from others."""
        return fingerprint({file.path.relative_to(self.root).as_posix(): file.path for file in self._files}, 2)

    def load(self, split: str) -> tuple[FolderImages, Tensor]:
        """Images and labels (N,) of the "train" or "test" set.

        Raises:
            InputError: if there are no images, one cannot be read, they differ, or all are nearly black; the message
                names the file.
        """
        files = [file for file in self._files if file.split == split]
        images = FolderImages([file.path for file in files], self.image_shape, self.background)
        self._check_shapes(images.paths)
        check_levels(images, f"the {split} set in data.source.root={self.root}", "save them with levels from 0 to 255")
        numbers = {name: number for number, name in enumerate(self.classes)}
        return images, torch.tensor([numbers.get(file.label, 0) for file in files])

    @cached_property
    def _files(self) -> list[ImageFile]:
        """All image files, ordered by path within their folders; each set has some."""
        if not self.root.is_dir():
            raise InputError(f"data.source.root={self.root} is not a folder: name the folder that holds the images")
        files = []
        for split, base in self._sets().items() or [("", self.root)]:
            paths = sorted(_image_paths(base, ()))
            if not paths:
                raise InputError(f"{base} has no images ({', '.join(IMG_EXTENSIONS)})")
            for path in paths:
                below = path.relative_to(base).parts
                files.append(ImageFile(path, split or self._draw_set(path), below[0] if len(below) > 1 else ""))
        bare = [file for file in files if not file.label]
        if bare and len(bare) < len(files):
            raise InputError(
                f"{bare[0].path} lies in no subfolder while others do: give each image a subfolder, its class, or none"
            )
        for split in SETS:
            if all(file.split != split for file in files):
                raise InputError(
                    f"data.source.root={self.root} has too few images: none of {len(files)} is drawn for the {split} "
                    f"set with data.source.test_share={self.test_share:g}; give more, or another data.source.seed"
                )
        return files

    def _sets(self) -> dict[str, Path]:
        """The folders of the two sets, by "train" and "test"; empty if there are none."""
        folders = sorted(path for path in _entries(self.root) if path.is_dir())
        sets: dict[str, Path] = {}
        for path in folders:
            split = path.name.lower()
            if split in sets:
                raise InputError(f"{sets[split]} and {path} differ only by capitals: merge them, or remove one")
            if split in SETS:
                sets[split] = path
        others = [path for path in folders if path.name.lower() in LIKE_SETS]
        if len(sets) == 2:
            for path in others:
                warnings.warn(f"{path} is ignored: validation images are cut from {sets['train']}", stacklevel=2)
        elif others:
            raise InputError(
                f"{others[0]} is named like a set of images: name the two sets train and test (validation images are "
                "cut from train), or, if it is a class, rename it"
            )
        elif sets:
            (path,) = sets.values()
            raise InputError(f"{path} stands alone: data.source.root={self.root} needs both train and test, or neither")
        return sets

    def _draw_set(self, path: Path) -> str:
        name = path.relative_to(self.root).as_posix()
        return "test" if uniform(name, self.seed) < self.test_share else "train"

    def _check_shapes(self, paths: Sequence[Path]) -> None:
        """Read the header of each image, and raise if they differ where the arguments leave the shape open."""
        with ThreadPoolExecutor() as pool:
            shapes = list(pool.map(read_shape, paths))
        first = self._files[0].path
        channels, *size = read_shape(first)
        for path, shape in zip(paths, shapes, strict=True):
            if not self.channels and shape[0] != channels:
                kinds = {1: "grey", 3: "in colour"}
                raise InputError(
                    f"{path} is {kinds[shape[0]]} while {first} is {kinds[channels]}: choose data.source.channels=1 "
                    "or data.source.channels=3"
                )
            if not self.size and [*shape[1:]] != size:
                raise InputError(
                    f"{path} is {shape[1]} by {shape[2]} pixels while {first} is {size[0]} by {size[1]}: "
                    "give data.source.size=[height,width], to which all are stretched"
                )


class FolderImages:
    """Images that stay in their files until they are read.

    Args:
        paths: the files.
        image_shape: (C, H, W) of the images when read.
        background: grey level in [0, 255] behind transparent pixels.
    """

    def __init__(self, paths: Sequence[Path], image_shape: tuple[int, ...], background: int) -> None:
        self.paths, self.background = paths, background
        channels, height, width = image_shape
        self.shape: Shape = (len(paths), channels, height, width)

    def read(self, index: Tensor) -> Tensor:
        images = np.empty((len(index), *self.shape[1:]), np.uint8)
        for image, each in zip(images, index.tolist(), strict=True):
            image[:] = read_image(self.paths[each], self.shape[1:], self.background)
        return torch.from_numpy(images)


def uniform(name: str, seed: int) -> float:
    """A number in [0, 1) that looks random and depends on ``name`` and ``seed`` alone.

    >>> round(uniform("cat/1.png", 0), 3)
    0.446
    """
    digest = hashlib.blake2b(os.fsencode(f"{seed}/{name}"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48  # more bits might be rounded up to 1


def _image_paths(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    """Image files below ``folder``, links followed; ``above`` holds the real paths of the folders on the way."""
    real_path = os.path.realpath(folder)
    if real_path in above:
        raise InputError(f"{folder} is a symbolic link to a folder that contains it: delete it")
    for path in _entries(folder):
        if path.is_dir():
            yield from _image_paths(path, (*above, real_path))
        elif path.name.lower().endswith(IMG_EXTENSIONS):
            yield path


def _entries(folder: Path) -> list[Path]:
    """The files and folders directly in a folder that are not hidden."""
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror})") from error
