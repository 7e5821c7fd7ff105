"""Image files, written byte by byte, and arrays to write."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from partae.data.decoding import read_image, read_shape

Array = NDArray[Any]


def pixels(*shape: int, high: int = 256, dtype: str = "u1") -> Array:
    return np.random.default_rng(0).integers(0, high, shape).astype(dtype)


def read(path: Path, channels: int | None = None, **arguments: int) -> Array:
    """An image as it stands, (H, W, C)."""
    shape = read_shape(path)
    return read_image(path, (channels or shape[0], *shape[1:]), **arguments).transpose(1, 2, 0)


def png(
    path: Path, array: Array, colour: int, depth: int = 8, before: tuple[Any, ...] = (), after: tuple[Any, ...] = ()
) -> Path:
    """A PNG of the rows of ``array``, packed bytes, with chunks (name, content) before and after the pixels."""
    width = 8 * array[0].nbytes // (depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour])
    head = (b"IHDR", struct.pack(">IIBBBBB", width, len(array), depth, colour, 0, 0, 0))
    data = (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in array)))
    chunks = [head, *before, data, *after, (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
            for name, content in chunks
        )
    )
    return path


def tiff(path: Path, array: Array, photometric: int = 1, **more: Any) -> Path:
    """An uncompressed TIFF of ``array`` (H, W) or (H, W, C), with ``more`` tags as t<number>=value or values."""
    height, width, channels = array.shape if array.ndim == 3 else (*array.shape, 1)
    tags: dict[int, Any] = {256: width, 257: height, 258: (8 * array.itemsize,) * channels, 259: 1, 262: photometric}
    tags |= {277: channels, 278: height, 279: array.nbytes, 284: 1}
    tags |= {int(name[1:]): value for name, value in more.items()}
    content, entries = array.tobytes(), b""
    for tag, value in sorted((tags | {273: 8}).items()):
        values = value if isinstance(value, tuple) else (value,)
        packed = struct.pack(f"<{len(values)}H", *values)
        if len(packed) > 4:
            content += packed
            packed = struct.pack("<I", 8 + len(content) - len(packed))
        entries += struct.pack("<HHI", tag, 3, len(values)) + packed.ljust(4, b"\0")
    ifd = struct.pack("<H", len(tags) + 1) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(content)) + content + ifd)
    return path


PALETTE = pixels(4, 3)
INDICES = pixels(5, 8, high=4)
PACKED = np.packbits(np.unpackbits(INDICES[..., None], axis=2)[..., -2:].reshape(5, -1), axis=1)  # 2 bits a pixel
BITS = pixels(5, 8, high=2)
