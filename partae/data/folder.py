"""A user's own images in a folder."""

from __future__ import annotations

import os
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
from partae.data.decoding import decoded, upright_shape
from partae.data.source import Shape
from partae.files import fingerprint

SETS = ("train", "test")


@dataclass(frozen=True)
class Found:
    """An image file: its set ("train", "test", or "" where the folder has none) and class ("" where there is none)."""

    path: Path
    split: str
    label: str


class Folder:
    """Images of any size, grey or in colour: PNG, JPEG, TIFF, WebP, BMP, PGM or PPM.

    Subfolders are classes, ``<root>/<class>/.../<image>``; images right in the folder have none. Where there are
    ``<root>/train`` and ``<root>/test``, these are the two sets, with classes below them, and nothing else is read.
    Otherwise some images are drawn for the test set. A photograph is turned as its camera says, and
    transparent pixels are laid over ``background``. Hidden files and files of other kinds are passed over. Images of
    other kinds of pixels (16 bits a channel, CMYK, ...) and files of several images are refused.

    Args:
        root: the folder.
        size: [height, width] to which images are stretched; None: their own, which must be the same for all.
        channels: 1 (grey) or 3 (colour); None: as the images are, which must be the same for all.
        test_share: share of the images that are drawn for the test set, in (0, 1).
        seed: of that draw.
        background: grey level in [0, 255] that is seen through transparent pixels.

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
        return tuple(sorted({each.label for each in self._found} - {""}))

    @cached_property
    def image_shape(self) -> tuple[int, ...]:
        """(C, H, W), as the first image has it where the arguments leave it open."""
        if self.size and self.channels:
            return (self.channels, *self.size)
        channels, *size = upright_shape(self._found[0].path)
        return (self.channels or channels, *(self.size or size))

    def prepare(self) -> None:
        """Nothing is missing, or nothing can be done about it."""

    def fingerprint(self) -> str:
        """What tells these images from others."""
        return fingerprint({each.path.relative_to(self.root).as_posix(): each.path for each in self._found}, 2)

    def load(self, split: str) -> tuple[FolderImages, Tensor]:
        """Images and labels (N,) of the "train" or "test" set.

        Raises:
            InputError: if there are no images, one cannot be read, or they differ; the message names the file.
        """
        chosen = self._chosen(split)
        self._check([each.path for each in chosen])
        classes = {name: label for label, name in enumerate(self.classes)}
        labels = torch.tensor([classes.get(each.label, 0) for each in chosen])
        return FolderImages([each.path for each in chosen], self.image_shape, self.background), labels

    def _chosen(self, split: str) -> list[Found]:
        if self._found[0].split:
            return [each for each in self._found if each.split == split]
        count = len(self._found)
        tested = max(1, round(self.test_share * count))
        if tested == count:
            raise InputError(f"data.source.root={self.root} has {count} image{'s' * (count > 1)}: too few for two sets")
        order = torch.randperm(count, generator=torch.Generator().manual_seed(self.seed))
        index = {"train": order[tested:], "test": order[:tested]}[split]
        return [self._found[each] for each in index.sort().values]

    @cached_property
    def _found(self) -> list[Found]:
        """All image files, ordered by path."""
        if not self.root.is_dir():
            raise InputError(f"data.source.root={self.root} is not a folder: name the folder that holds the images")
        sets = [name for name in SETS if (self.root / name).is_dir()]
        if len(sets) == 1:
            raise InputError(
                f"{self.root / sets[0]} stands alone: data.source.root={self.root} needs both train and test, "
                "or neither"
            )
        found = []
        for split in sets or ("",):
            base = self.root / split
            paths = sorted(_images(base, ()))
            if not paths:
                raise InputError(f"{base} has no images ({', '.join(IMG_EXTENSIONS)})")
            found += [Found(path, split, _label(path.relative_to(base))) for path in paths]
        bare = [each for each in found if not each.label]
        if bare and len(bare) < len(found):
            raise InputError(
                f"{bare[0].path} lies in no subfolder while others do: give each image a subfolder, its class, or none"
            )
        return found

    def _check(self, paths: Sequence[Path]) -> None:
        """Read the head of each image, and raise if the arguments leave open what shape they are to have."""
        with ThreadPoolExecutor() as pool:
            shapes = list(pool.map(upright_shape, paths))
        channels, *size = upright_shape(self._found[0].path)
        for path, shape in zip(paths, shapes, strict=True):
            if not self.channels and shape[0] != channels:
                raise InputError(
                    f"{path} is {_kind(shape[0])} while {self._found[0].path} is {_kind(channels)}: choose "
                    "data.source.channels=1 or data.source.channels=3"
                )
            if not self.size and [*shape[1:]] != size:
                raise InputError(
                    f"{path} is {shape[1]} by {shape[2]} pixels while {self._found[0].path} is {size[0]} by {size[1]}: "
                    "give data.source.size=[height,width], to which all are stretched"
                )


class FolderImages:
    """Images in files of their own.

    Args:
        paths: the files.
        image_shape: (C, H, W) in which they are read.
        background: grey level in [0, 255] that is seen through transparent pixels.
    """

    def __init__(self, paths: Sequence[Path], image_shape: tuple[int, ...], background: int) -> None:
        self.paths, self.background = paths, background
        channels, height, width = image_shape
        self.shape: Shape = (len(paths), channels, height, width)

    def read(self, index: Tensor) -> Tensor:
        images = np.empty((len(index), *self.shape[1:]), np.uint8)
        for image, each in zip(images, index.tolist(), strict=True):
            image[:] = decoded(self.paths[each], self.shape[1:], self.background)
        return torch.from_numpy(images)


def _images(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    """Image files below ``folder``, links followed; ``above`` holds the real paths of the folders on the way."""
    real_path = os.path.realpath(folder)
    if real_path in above:
        raise InputError(f"{folder} is a symbolic link to a folder that it lies in: delete it")
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror})") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if (folder / entry.name).is_dir():
            yield from _images(folder / entry.name, (*above, real_path))
        elif entry.name.lower().endswith(IMG_EXTENSIONS):
            yield folder / entry.name


def _label(path: Path) -> str:
    return path.parts[0] if len(path.parts) > 1 else ""


def _kind(channels: int) -> str:
    return "grey" if channels == 1 else "in colour"
