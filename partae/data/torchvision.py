"""Any data set of torchvision, by the name of its class; and downloads that give up where nothing answers."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import datasets

from partae.checks import InputError, flag, suggest
from partae.data.decoding import GREY
from partae.data.source import Labelled

TIMEOUT = 5  # seconds of silence after which a connection is given up


class Torchvision:
    """Images of a class of ``torchvision.datasets`` that has a training and a test set of images of one size.

    Args:
        dataset: name of the class, such as CIFAR10, SVHN or QMNIST; it takes ``root`` and ``train`` or ``split``.
        root: the data folder, in torchvision's layout.
        download: whether torchvision may download missing files.
        options: other arguments of the class, by their names.

    Raises:
        InputError: if torchvision has no such class.
    """

    def __init__(
        self,
        dataset: str,
        root: str | Path = "data",
        download: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.dataset = dataset
        if self.dataset not in datasets.__all__:
            raise InputError(
                f"data.source.dataset must be a class of torchvision.datasets, as CIFAR10; got {self.dataset!r}"
                f"{suggest(str(self.dataset).upper(), datasets.__all__)}"
            )
        self.root = Path(root)
        self.download = flag("data.source.download", download)
        self.options = dict(options or {})

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names that torchvision gives the classes, or their numbers."""
        dataset = self._open("train")
        names = getattr(dataset, "classes", None)
        return tuple(map(str, range(int(self.load("train")[1].max()) + 1) if names is None else names))

    @cached_property
    def image_shape(self) -> tuple[int, ...]:
        """(C, H, W) of the first image."""
        return tuple(_pixels(self._open("train")[0][0]).shape)

    def prepare(self) -> None:
        for split in ("train", "test"):
            self._open(split)

    def load(self, split: str) -> Labelled:
        """Images (N, C, H, W) of uint8 and labels (N,) of the "train" or "test" set.

        Raises:
            InputError: if torchvision cannot read them, or they differ in shape.
        """
        dataset = self._open(split)
        items = [dataset[index] for index in range(len(dataset))]
        images = [_pixels(image) for image, _ in items]
        if len({image.shape for image in images}) > 1:
            raise InputError(
                f"images of data.source.dataset={self.dataset} differ in shape: stretch them by data=folder"
            )
        return torch.stack(images), torch.tensor([int(label) for _, label in items])

    def _open(self, split: str) -> Any:
        try:
            kind = getattr(datasets, self.dataset)
            takes_train = any("train" in inspect.signature(each.__init__).parameters for each in kind.__mro__)
            which = {"train": split == "train"} if takes_train else {"split": split}
            with time_limit():
                return kind(self.root, **which, download=self.download, **self.options)
        except Exception as error:  # a class of torchvision may raise anything
            advice = ""
            if isinstance(error, URLError | TimeoutError):
                advice = "\nConnect to the network once, or copy the files there, in torchvision's layout"
            raise InputError(
                f"torchvision cannot give data.source.dataset={self.dataset} from data.source.root={self.root} with "
                f"data.source.download={str(self.download).lower()}: {error}{advice}"
            ) from error


@contextmanager
def time_limit() -> Iterator[None]:
    """Give up connections on which nothing arrives for `TIMEOUT` seconds."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def check_reachable(url: str) -> None:
    """Raise RuntimeError unless the host of ``url`` answers within `TIMEOUT` seconds, or a proxy is asked for it."""
    if "http" in getproxies():
        return
    host = urlsplit(url).netloc
    pool = ThreadPoolExecutor(max_workers=1)  # since looking up a name has no time limit
    try:
        pool.submit(socket.create_connection, (host, 80), TIMEOUT).result(TIMEOUT).close()
    except TimeoutError:
        raise RuntimeError(f"{host} did not answer within {TIMEOUT} s") from None
    except OSError as error:
        raise RuntimeError(f"{host} cannot be reached ({error.strerror})") from error
    finally:
        pool.shutdown(wait=False)


def _pixels(image: Image.Image) -> Tensor:
    """A grey (1, H, W) or colour (3, H, W) image of uint8."""
    array = np.array(image.convert("L" if image.mode in GREY else "RGB"))
    return torch.from_numpy(array).view(*array.shape[:2], -1).permute(2, 0, 1)
