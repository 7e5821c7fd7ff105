"""Images as text that a page can hold: many in one PNG, as a data URI."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.floating[Any]]


class Sheet(NamedTuple):
    """Tiles of one size, side by side in one picture.

    Args:
        uri: the picture, as a data URI.
        columns: tiles in a row of it.
        rows: of tiles.
    """

    uri: str
    columns: int
    rows: int


def sheet(tiles: Sequence[Array]) -> Sheet:
    """A sheet of ``tiles`` (H, W, 3) with values in [0, 1], at least one of them, row by row."""
    height, width, _ = tiles[0].shape
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    canvas = np.zeros((rows, columns, height, width, 3), dtype=np.uint8)
    for index, tile in enumerate(tiles):
        canvas[divmod(index, columns)] = np.round(255 * np.clip(tile, 0, 1))
    pixels = canvas.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
    grey = bool((pixels == pixels[..., :1]).all())
    content = io.BytesIO()
    Image.fromarray(pixels[..., 0] if grey else pixels).save(content, "PNG", optimize=True)
    return Sheet(_uri(content.getvalue()), columns, rows)


def tile_bytes(atoms: Array) -> int:
    """How much of a sheet one of the atoms (K, C, H, W) takes: those with negative values are shown in colour."""
    channels, height, width = atoms.shape[1:]
    return int(height * width * (3 if channels > 1 or (atoms < 0).any() else 1))


def picture(file: Path) -> str:
    """A PNG file as a data URI."""
    return _uri(file.read_bytes())


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
