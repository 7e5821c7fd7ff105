"""What a source of images is."""

from __future__ import annotations

from inspect import getattr_static
from typing import Protocol

from torch import Tensor

from partae.checks import InputError

Labelled = tuple[Tensor, Tensor]
Shape = tuple[int, int, int, int]


class Stored(Protocol):
    """Images that stay on disk until they are read.

    Attributes:
        shape: (N, C, H, W).
    """

    @property
    def shape(self) -> Shape: ...

    def read(self, index: Tensor) -> Tensor:
        """The images at ``index`` (B,), (B, C, H, W), uint8 in [0, 255] or float in [0, 1]. Several threads call it.

        Raises:
            InputError: if an image cannot be read; the message names its file.
        """


class Source(Protocol):
    """Images with labels, in two sets.

    A source whose images may change while its arguments do not has a method ``fingerprint() -> str``, too, which
    distinguishes them from others, wherever they lie: a resumed run must see the same images. A source that fetches
    files has ``prepare() -> None``, which is called in one process before any `load`.

    Attributes:
        classes: the name of each class; none where there are no labels, which are 0 then.
        image_shape: (C, H, W), known before the images are loaded.
    """

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def image_shape(self) -> tuple[int, ...]: ...

    def load(self, split: str) -> tuple[Tensor | Stored, Tensor]:
        """Images (N, C, H, W), uint8 in [0, 255] or float in [0, 1], and labels (N,), of the "train" or "test" set."""


def checked(source: Source) -> Source:
    """The same ``source``, which may be of a user's own.

    Raises:
        InputError: if it has no ``classes`` or no ``load``.
    """
    # getattr would call a property, which may load the images; a wrapper with __getattr__ is not looked into
    lacks = [name for name in ("classes", "load") if getattr_static(source, name, None) is None]
    if lacks and not hasattr(type(source), "__getattr__"):
        raise InputError(f"data.source={type(source).__name__} is no source of images: it has no {', '.join(lacks)}")
    return source


def load(source: Source, split: str) -> tuple[Tensor | Stored, Tensor]:
    """Images and labels of the "train" or "test" set.

    Raises:
        InputError: if ``source`` gives no labels.
    """
    images, labels = source.load(split)
    if labels is None:
        kind = type(source).__name__
        raise InputError(f"data.source={kind} loads images without labels: give zeros where there are none")
    return images, labels


def place_of(source: Source) -> str:
    """The config key that chooses the images, with the value that it has."""
    root = getattr(source, "root", None)
    return f"data.source.root={root}" if root else "data.source"


def fingerprint_of(source: Source) -> str | None:
    """What distinguishes the images of ``source`` from others of the same arguments; None where the arguments do."""
    fingerprint = getattr(source, "fingerprint", None)
    return None if fingerprint is None else str(fingerprint())


def read(images: Tensor | Stored, index: Tensor) -> Tensor:
    """The images at ``index`` (B,), (B, C, H, W), wherever they lie."""
    return images[index] if isinstance(images, Tensor) else images.read(index)
