"""Images as data URIs, which a page can hold; many small ones share a PNG."""

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
    """Tiles of one size in one picture.

    Args:
        uri: the picture, as a data URI.
        columns: number of tiles in a row.
        rows: number of rows.
    """

    uri: str
    columns: int
    rows: int


def sheet(tiles: Sequence[Array]) -> Sheet:
    """A sheet of at least one tile (H, W, 3), row by row; values outside [0, 1] are clipped."""
    height, width, _ = tiles[0].shape
    columns = math.ceil(math.sqrt(len(tiles)))
    rows = math.ceil(len(tiles) / columns)
    canvas = np.zeros((rows * columns, height, width, 3), dtype=np.uint8)
    canvas[: len(tiles)] = np.round(255 * np.clip(tiles, 0, 1))
    pixels = canvas.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    is_grey = bool((pixels == pixels[..., :1]).all())
    content = io.BytesIO()
    Image.fromarray(pixels[..., 0] if is_grey else pixels).save(content, "PNG", optimize=True)
    return Sheet(_uri(content.getvalue()), columns, rows)


def tile_bytes(atoms: Array) -> int:
    """Bytes of one of the atoms (K, C, H, W) on a sheet; atoms with negative values are shown in colour."""
    channels, height, width = atoms.shape[1:]
    return int(height * width * (3 if channels > 1 or (atoms < 0).any() else 1))


def picture(file: Path) -> str:
    """A PNG file as a data URI."""
    return _uri(file.read_bytes())


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
