"""Data sets in IDX files, as torchvision lays them out: from the first place that has them, verified at each use."""

from __future__ import annotations

import gzip
import hashlib
import math
import subprocess
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from partae.checks import InputError, flag
from partae.data.places import Place, downloaded, here, not_asked
from partae.data.source import Labelled
from partae.files import write_bytes

Names = Mapping[str, tuple[str, str]]

MNIST_NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class IDX:
    """Grey images, 28 × 28, and their labels, in four files at ``<root>/<title>/raw``.

    A file is used only if its contents have the digest that is known of them. Where none is known, a file must be
    whole and have as many images as the data set has, and its digest is kept in ``SHA256SUMS`` beside it at first use.

    Args:
        root: the data folder.
        download: whether the network may be asked.

    Attributes:
        kind: torchvision's class.
        title: its name.
        url: where it downloads from.
        image_shape: (1, 28, 28).
        counts: number of images of each set; None where a digest tells the files apart.
        first_label: of the first class, as the files number them.
        checksums: of the uncompressed contents of files, by name: MD5 or SHA-256, in hexadecimal.
    """

    kind: Any
    url: str
    classes: tuple[str, ...]
    image_shape = (1, 28, 28)
    counts: Mapping[str, int] | None = None
    names: Names = MNIST_NAMES
    first_label = 0
    checksums: Mapping[str, str] = {}

    def __init__(self, root: str | Path = "data", download: bool = True) -> None:
        self.root = Path(root)
        self.download = flag("data.source.download", download)

    @property
    def title(self) -> str:
        return str(self.kind.__name__)

    @property
    def folder(self) -> Path:
        """Where the four files lie."""
        return self.root / self.title / "raw"

    def prepare(self) -> None:
        """Put the files that are missing into the data folder.

        Raises:
            InputError: if no place has them, or the folder cannot be written; the message says what was tried.
        """
        refusals = []
        for name, place in self._places():
            if not self._missing():
                break
            try:
                with place() as folder:
                    self._take(folder)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                refusals.append(f"  {name}: {error}")
        if self._missing():
            tried = "\n".join(refusals)
            raise InputError(
                f"{self.title} is not in data.source.root={self.root}, and no other place gave it:\n{tried}\n"
                f"{self._advice()}put the four files {', '.join(self._files())} (or their .gz) into {self.folder}"
            )
        self._record()

    def load(self, split: str) -> Labelled:
        """Images (N, 1, 28, 28) of uint8 and labels (N,) of the "train" or "test" set.

        Raises:
            InputError: if a file is absent or altered.
        """
        images_file, labels_file = (self.folder / name for name in self.names[split])
        images, labels = (self._array(file, self._contents(file)) for file in (images_file, labels_file))
        self._check(split, images, labels)
        return self._upright(torch.from_numpy(images)[:, None]), torch.from_numpy(labels).long() - self.first_label

    def _upright(self, images: torch.Tensor) -> torch.Tensor:
        """Images as they are meant to be seen."""
        return images

    def _download(self, root: str) -> Path:
        """The folder of the files that torchvision downloads to ``root``; it verifies them."""
        return Path(self.kind(root, download=True).raw_folder)

    def _places(self) -> Iterator[tuple[str, Callable[[], Place]]]:
        yield f"the data folder {self.folder}", lambda: here(self.folder)
        yield from self._elsewhere()

    def _elsewhere(self) -> Iterator[tuple[str, Callable[[], Place]]]:
        """The places beside the data folder, by name, in the order in which they are asked."""
        if self.download:
            yield "torchvision's download", lambda: downloaded(self.url, self._download)
        else:
            yield "the network", not_asked

    def _advice(self) -> str:
        return "Connect to the network once, or "

    def _mend(self, path: Path) -> str:
        return "delete it and run again to fetch it anew"

    def _files(self) -> list[str]:
        return [name for pair in self.names.values() for name in pair]

    def _missing(self) -> list[str]:
        missing = [name for name in self._files() if not (self.folder / name).exists()]
        for path in (self.folder / name for name in missing):
            if path.is_symlink():
                raise InputError(f"{path} is a symbolic link that leads nowhere or in a circle: delete it")
        return missing

    def _take(self, folder: Path) -> None:
        """Copy the missing files from ``folder``, packed or not, each verified before it is written."""
        for name in self._missing():
            source = next((path for path in (folder / name, folder / f"{name}.gz") if path.exists()), None)
            if source is None:
                raise FileNotFoundError(f"{folder} has no {name}")
            content = self._contents(source)
            self._array(source, content)
            try:
                write_bytes(self.folder / name, content)
            except OSError as error:
                raise InputError(
                    f"data.source.root={self.root} cannot be written ({error.strerror}): "
                    "name another folder or free some space"
                ) from error

    def _contents(self, path: Path) -> bytes:
        """The uncompressed contents of ``path``, which are the data set's own."""
        name = path.name.removesuffix(".gz")
        try:
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = gzip.decompress(content)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            content = b""
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}): {self._mend(path)}") from error
        if name in self.checksums:
            expected, whose = self.checksums[name], f"{self.title}'s"
        elif name in (recorded := self._recorded()):
            expected, whose = recorded[name], f"those that {self._sums} tells of"
        else:
            return content
        kind = "md5" if len(expected) == 32 else "sha256"
        if hashlib.new(kind, content, usedforsecurity=False).hexdigest() != expected:
            title = {"md5": "MD5", "sha256": "SHA-256"}[kind]
            raise InputError(
                f"{path} is truncated or altered: its contents are not {whose} ({title}); {self._mend(path)}"
            )
        return content

    def _array(self, path: Path, content: bytes) -> NDArray[np.uint8]:
        """The array in an IDX file: images (N, 28, 28) or labels (N,)."""
        dimensions = 3 if "idx3" in path.name else 1
        start = 4 + 4 * dimensions
        shape = tuple(np.frombuffer(content[4:start], ">u4").tolist()) if len(content) >= start else ()
        header = content[:4] == bytes([0, 0, 8, dimensions]) and shape[1:] in ((), (28, 28))
        if not header or len(content) != start + math.prod(shape):
            raise InputError(
                f"{path} is truncated or altered: it is no whole IDX file of {self.title}; {self._mend(path)}"
            )
        return np.frombuffer(bytearray(content), np.uint8, offset=start).reshape(shape)

    def _check(self, split: str, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
        """Raise if images and labels are not those of this set."""
        count = self.counts[split] if self.counts else len(images)
        for name, array in zip(self.names[split], (images, labels), strict=True):
            if len(array) != count:
                raise InputError(
                    f"{self.folder / name} has {len(array)} entries, but the {split} set of {self.title} has {count}: "
                    f"its files are swapped or another's; {self._mend(self.folder / name)}"
                )
        low, high = self.first_label, self.first_label + len(self.classes) - 1
        if labels.min() < low or labels.max() > high:
            file = self.folder / self.names[split][1]
            raise InputError(
                f"{file} has labels {labels.min()} to {labels.max()}, but {self.title} has {low} to {high}; "
                f"{self._mend(file)}"
            )

    @property
    def _sums(self) -> Path:
        return self.folder / "SHA256SUMS"

    def _recorded(self) -> dict[str, str]:
        """The digest of each file in ``SHA256SUMS``, whose first line is a comment with the digest of the others."""
        if not self._sums.exists():
            return {}
        first, *lines = self._sums.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        if first != _head(lines):
            raise InputError(
                f"{self._sums} is damaged, by which altered files are told, or has no digest of itself: "
                "delete it if you trust the files beside it"
            )
        return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}

    def _record(self) -> None:
        """Note the digests of the files of which none is known yet."""
        sums = self._recorded()
        unknown = [name for name in self._files() if name not in self.checksums and name not in sums]
        if not unknown:
            return
        for split in self.names:
            self.load(split)
        sums |= {name: hashlib.sha256((self.folder / name).read_bytes()).hexdigest() for name in unknown}
        with suppress(OSError):  # a folder that is only read cannot keep them, and need not
            lines = [f"{sums[name]}  {name}" for name in sorted(sums)]
            write_bytes(self._sums, "".join(f"{line}\n" for line in (_head(lines), *lines)).encode())


def _head(lines: list[str]) -> str:
    """The comment before ``lines`` of ``SHA256SUMS``: whether they are all, and as they were written."""
    return f"# {hashlib.sha256(chr(10).join(lines).encode()).hexdigest()} of the lines below"
