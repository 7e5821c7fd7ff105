"""Grey levels, palettes and transparency of image files, against arithmetic on the arrays that were written."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from partae.data.decoding import read_shape
from tests.data.image_files import BITS, INDICES, PACKED, PALETTE, Array, pixels, png, read, tiff

OPAQUE = np.full((5, 8), 255)


def over(array: Array, alpha: Array, background: int) -> Array:
    """What is seen of ``array`` (H, W, C) through ``alpha`` (H, W)."""
    share = alpha[..., None] / 255
    return np.rint(array * share + background * (1 - share))


def grey(path: Path) -> tuple[Array, Array]:
    png(path, array := pixels(5, 8), 0)
    return array[..., None], OPAQUE


def one_bit(path: Path) -> tuple[Array, Array]:
    png(path, np.packbits(BITS, axis=1), 0, 1)
    return 255 * BITS[..., None], OPAQUE


def two_bits(path: Path) -> tuple[Array, Array]:
    png(path, PACKED, 0, 2)
    return 85 * INDICES[..., None], OPAQUE


def palette(path: Path) -> tuple[Array, Array]:
    png(path, INDICES, 3, before=((b"PLTE", PALETTE.tobytes()),))
    return PALETTE[INDICES], OPAQUE


def palette_of_tiff(path: Path, with_alpha: bool = False) -> tuple[Array, Array]:
    table = np.zeros((3, 256), int)
    table[:, :4] = PALETTE.T
    tags: dict[str, Any] = {"t320": tuple((257 * table).flatten().tolist())} | ({"t338": 2} if with_alpha else {})
    alpha = pixels(5, 8) if with_alpha else OPAQUE
    tiff(path, np.stack([INDICES, alpha], axis=2) if with_alpha else INDICES, photometric=3, **tags)
    return PALETTE[INDICES], alpha


def white_is_zero(path: Path) -> tuple[Array, Array]:
    tiff(path.with_suffix(".tiff"), array := pixels(5, 8), photometric=0).rename(path)
    return 255 - array[..., None], OPAQUE


def unknown_extra_sample(path: Path) -> tuple[Array, Array]:
    tiff(path, array := pixels(5, 8, 4), photometric=2, t338=0)
    return array[..., :3], OPAQUE


def coarse_ppm(path: Path) -> tuple[Array, Array]:
    path.write_bytes(b"P6 8 5 15\n" + (array := pixels(5, 8, 3, high=16)).tobytes())
    return np.rint(array * 17), OPAQUE


def grey_and_alpha(path: Path) -> tuple[Array, Array]:
    png(path, array := pixels(5, 8, 2), 4)
    return array[..., :1], array[..., 1]


def colour_and_alpha(path: Path) -> tuple[Array, Array]:
    png(path, array := pixels(5, 8, 4), 6)
    return array[..., :3], array[..., 3]


def one_grey_level(path: Path) -> tuple[Array, Array]:
    png(path, array := pixels(5, 8, high=3), 0, before=((b"tRNS", bytes([0, 2])),))
    return array[..., None], np.where(array == 2, 0, 255)


def one_of_two_levels(path: Path) -> tuple[Array, Array]:
    png(path, np.packbits(BITS, axis=1), 0, 1, before=((b"tRNS", bytes([0, 1])),))
    return 255 * BITS[..., None], np.where(BITS == 1, 0, 255)


def one_colour(path: Path) -> tuple[Array, Array]:
    array = PALETTE[INDICES]
    png(path, array, 2, before=((b"tRNS", b"".join(bytes([0, level]) for level in PALETTE[1])),))
    return array, np.where(INDICES == 1, 0, 255)


def levels_of_a_palette(path: Path) -> tuple[Array, Array]:
    alpha = np.array([255, 100, 7, 0], np.uint8)
    png(path, PACKED, 3, 2, before=((b"PLTE", PALETTE.tobytes()), (b"tRNS", alpha.tobytes())))
    return PALETTE[INDICES], alpha[INDICES]


def premultiplied(path: Path, channels: int = 3) -> tuple[Array, Array]:
    array, alpha = pixels(5, 8, channels), pixels(5, 8, high=200) + 50
    stored = np.rint(array * (alpha[..., None] / 255)).astype(np.uint8)
    samples = np.concatenate([stored, alpha[..., None].astype(np.uint8)], axis=2)
    tiff(path, samples, photometric=2 if channels == 3 else 1, t338=1)
    return array, alpha


def colour_and_alpha_of_webp(path: Path) -> tuple[Array, Array]:
    Image.fromarray(array := pixels(5, 8, 4)).save(path, format="WEBP", lossless=True, exact=True)
    return array[..., :3], array[..., 3]


WRITERS = [grey, one_bit, two_bits, palette, palette_of_tiff, white_is_zero, unknown_extra_sample, coarse_ppm]
WRITERS += [grey_and_alpha, colour_and_alpha, one_grey_level, one_of_two_levels, one_colour, levels_of_a_palette]
WRITERS += [
    partial(palette_of_tiff, with_alpha=True),
    premultiplied,
    partial(premultiplied, channels=1),
    colour_and_alpha_of_webp,
]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("background", [0, 200])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_read_as_they_were_written_on_a_background(
    write: Callable[[Path], tuple[Array, Array]], background: int, channels: int, tmp_path: Path
) -> None:
    array, alpha = write(tmp_path / "image.png")
    expected = over(array, alpha, background)
    if channels == 1 and array.shape[2] == 3:
        expected = expected @ [[0.299], [0.587], [0.114]]  # luminance by ITU-R 601
    found = read(tmp_path / "image.png", channels, background=background)
    tolerance = 2 if "premultiplied" in str(write) else 1  # which are rounded twice
    if alpha is OPAQUE and channels >= array.shape[2]:
        tolerance = 0
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=tolerance)
    assert read_shape(tmp_path / "image.png")[0] == array.shape[2]
