"""MNIST and its kin (Fashion-MNIST, KMNIST, EMNIST), in the files and folders that torchvision downloads."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torchvision import datasets
from torchvision.datasets.mnist import read_image_file, read_label_file

from partae.checks import InputError, flag, one_of
from partae.data.source import Labelled
from partae.data.torchvision import check_reachable, time_limit
from partae.files import write_bytes

DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


class MNIST:
    """70,000 grey images of digits, 28 × 28, in ten classes: 60,000 to train and 10,000 to test.

    The four files lie in ``<root>/MNIST/raw``, where packed ones (.gz) are unpacked.

    Args:
        root: the data folder.
        download: whether torchvision may download missing files.

    Attributes:
        kind: torchvision's class.
        options: more arguments of it.
        system_folders: folders outside of ``root`` that may hold the files, packed or not.
        counts: number of images in each set.
        checksums: SHA-256 of unpacked files, by name; verified when a file enters the data folder.

    Source: LeCun, Cortes and Burges, *The MNIST database of handwritten digits* (1998).
    """

    kind: Any = datasets.MNIST
    classes: tuple[str, ...] = tuple("0123456789")
    image_shape = (1, 28, 28)
    counts: Mapping[str, int] = {"train": 60_000, "test": 10_000}
    checksums: Mapping[str, str] = {}
    options: Mapping[str, Any] = {}
    system_folders: tuple[Path, ...] = ()
    advice = "Connect to the network once"

    def __init__(self, root: str | Path = "data", download: bool = True) -> None:
        self.root = Path(root)
        self.download = flag("data.source.download", download)

    @property
    def folder(self) -> Path:
        """Where the four files lie."""
        return self.root / self.kind.__name__ / "raw"

    def files(self, split: str) -> tuple[Path, Path]:
        """The files of the images and of the labels of the "train" or "test" set."""
        prefix = self._prefix(split)
        return self.folder / f"{prefix}-images-idx3-ubyte", self.folder / f"{prefix}-labels-idx1-ubyte"

    def missing(self) -> list[Path]:
        """Those of the four files that the data folder lacks."""
        return [path for split in ("train", "test") for path in self.files(split) if not path.exists()]

    def prepare(self) -> None:
        """Put missing files into the data folder: unpacked, copied from the system's folder, or downloaded.

        Raises:
            InputError: if that fails; the message lists what was tried and what helps.
        """
        places = (self.folder, *self.system_folders)
        for folder in places:
            self.take(folder)
        refusal = "data.source.download=false"
        if self.download and self.missing():
            try:
                check_reachable(getattr(self.kind, "url", None) or self.kind.mirrors[0])
                with time_limit(), TemporaryDirectory() as temporary:
                    dataset = self.kind(temporary, download=True, **self.options)  # which verifies MD5
                    self.take(Path(dataset.raw_folder))
            except (OSError, RuntimeError) as error:
                refusal = f"torchvision's download failed: {error}"
        if missing := self.missing():
            raise InputError(
                f"data.source.root={self.root} lacks {', '.join(path.name for path in missing)} of "
                f"{self.kind.__name__}. None is in {' or '.join(map(str, places))}; {refusal}\n"
                f"{self.advice}, or put the files (or their .gz) into {self.folder}"
            )

    def take(self, folder: Path) -> None:
        """Copy missing files that are in ``folder``, packed or not, into the data folder.

        Raises:
            InputError: if a file is damaged, or the data folder cannot be written.
        """
        for path in self.missing():
            plain, packed = folder / path.name, folder / f"{path.name}.gz"
            if not (plain.exists() or packed.exists()):
                continue
            source = plain if plain.exists() else packed
            try:
                content = plain.read_bytes() if source is plain else gzip.decompress(packed.read_bytes())
            except (OSError, EOFError, zlib.error) as error:
                raise InputError(f"{source} cannot be read ({error}): replace or delete it") from error
            digest = hashlib.sha256(content).hexdigest()
            if digest != self.checksums.get(path.name, digest):
                raise InputError(f"{source} is damaged: its SHA-256 is wrong; replace or delete it")
            try:
                write_bytes(path, content)
            except OSError as error:
                raise InputError(f"data.source.root={self.root} cannot be written ({error.strerror})") from error

    def load(self, split: str) -> Labelled:
        """Images (N, 1, 28, 28) of uint8 and labels (N,) of the "train" or "test" set.

        Raises:
            InputError: if a file is unreadable, truncated, or another set's.
        """
        images, labels = self.files(split)
        _check_whole(images, (self.counts[split], 28, 28))
        _check_whole(labels, (self.counts[split],))
        return read_image_file(images)[:, None], read_label_file(labels)

    def _prefix(self, split: str) -> str:
        return {"train": "train", "test": "t10k"}[split]


class FashionMNIST(MNIST):
    """70,000 grey images of garments, 28 × 28, in ten classes: 60,000 to train and 10,000 to test.

    Files come from the first of these that has them: the data folder, the folder of Debian's package
    dataset-fashion-mnist, torchvision's download.

    Args:
        root: the data folder; the files lie in ``<root>/FashionMNIST/raw``.
        download: whether torchvision may download missing files.

    Source: Xiao, Rasul and Vollgraf, *Fashion-MNIST* (2017).
    """

    kind = datasets.FashionMNIST
    classes = tuple(datasets.FashionMNIST.classes)
    system_folders = (DEBIAN_FOLDER,)
    checksums = {  # noqa: RUF012
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }
    advice = f"Run `make data`, install Debian's package {DEBIAN_PACKAGE}"


class KMNIST(MNIST):
    """70,000 grey images of ten cursive hiragana, 28 × 28: 60,000 to train and 10,000 to test.

    Args:
        root: the data folder; the files lie in ``<root>/KMNIST/raw``.
        download: whether torchvision may download missing files.

    Source: Clanuwat et al., *Deep learning for classical Japanese literature* (2018).
    """

    kind = datasets.KMNIST
    classes = tuple(datasets.KMNIST.classes)


class EMNIST(MNIST):
    """Grey images of handwritten digits and letters, 28 × 28, upright (the files have rows for columns).

    Args:
        root: the data folder; the files lie in ``<root>/EMNIST/raw``.
        download: whether torchvision may download missing files: half a gigabyte, with all six selections.
        selection: byclass (62 classes), bymerge (47), balanced (47, equally frequent), letters (26), digits or mnist.

    Raises:
        InputError: if the selection is unknown.

    Source: Cohen, Afshar, Tapson and van Schaik, *EMNIST: an extension of MNIST to handwritten letters* (2017).
    """

    kind = datasets.EMNIST

    def __init__(self, root: str | Path = "data", download: bool = True, selection: str = "balanced") -> None:
        super().__init__(root, download)
        self.selection = one_of("data.source.selection", selection, tuple(SIZES))
        self.options = {"split": selection}
        self.classes = tuple(name for name in datasets.EMNIST.classes_split_dict[selection] if name != "N/A")
        self.counts = dict(zip(("train", "test"), SIZES[selection], strict=True))

    def load(self, split: str) -> Labelled:
        images, labels = super().load(split)
        return images.mT.contiguous(), labels - 1 if self.selection == "letters" else labels

    def _prefix(self, split: str) -> str:
        return f"emnist-{self.selection}-{split}"


# number of images to train and to test
SIZES = {
    "byclass": (697_932, 116_323),
    "bymerge": (697_932, 116_323),
    "balanced": (112_800, 18_800),
    "letters": (124_800, 20_800),
    "digits": (240_000, 40_000),
    "mnist": (60_000, 10_000),
}


def _check_whole(path: Path, shape: tuple[int, ...]) -> None:
    """Raise unless ``path`` is an IDX file of uint8 that is as long as its header and ``shape`` say."""
    header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    try:
        with path.open("rb") as file:
            is_whole = file.read(len(header)) == header
            is_whole &= file.seek(0, os.SEEK_END) == len(header) + math.prod(shape)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error
    if not is_whole:
        raise InputError(
            f"{path} is truncated, altered or another set's: it must be an IDX file of shape {shape}; "
            "delete it, and it is fetched anew"
        )
