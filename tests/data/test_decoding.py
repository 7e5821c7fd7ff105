"""Image files, most of them written here byte by byte, against arithmetic on the arrays that were written."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from partae.checks import InputError
from partae.data.decoding import read_image, read_shape

Array = NDArray[Any]

UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


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


def exif(orientation: int) -> bytes:
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def over(array: Array, alpha: Array, background: int) -> Array:
    """What is seen of ``array`` (H, W, C) through ``alpha`` (H, W)."""
    share = alpha[..., None] / 255
    return np.rint(array * share + background * (1 - share))


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["tiff", "tiff_lzw", "jpg", "png", "png_late", "webp"])
@pytest.mark.parametrize("shape", [(16, 48), (16, 48, 3)])
def test_an_image_is_turned_as_its_tag_says(
    kind: str, orientation: int, shape: tuple[int, ...], tmp_path: Path
) -> None:
    array, path = pixels(*shape), tmp_path / f"turned.{kind.split('_')[0]}"
    if kind == "jpg":  # which keeps smooth images
        array = np.add.outer(np.arange(16), np.arange(48)).reshape(16, 48, *[1] * (len(shape) - 2))
        array = (np.broadcast_to(array, shape) * 3).astype(np.uint8)
    tag = exif(orientation)
    if kind == "tiff":
        tiff(path, array, 2 if len(shape) == 3 else 1, t274=orientation)
    elif kind == "png":
        png(path, array, 2 if len(shape) == 3 else 0, before=((b"eXIf", tag),))
    elif kind == "png_late":
        png(path, array, 2 if len(shape) == 3 else 0, after=((b"eXIf", tag),))
    elif kind == "tiff_lzw":
        Image.fromarray(array).save(path, compression="tiff_lzw", tiffinfo={0x0112: 1})
        at = (content := path.read_bytes()).index(struct.pack("<HHIH", 0x0112, 3, 1, 1)) + 8
        path.write_bytes(content[:at] + bytes([orientation]) + content[at + 1 :])  # Pillow writes no number but 1 to 8
    else:
        more: dict[str, Any] = {"quality": 100, "subsampling": 0} if kind == "jpg" else {"lossless": True}
        Image.fromarray(array).save(path, exif=b"Exif\0\0" + tag, **more)
    expected = UPRIGHT.get(orientation, UPRIGHT[1])(array)
    found = read(path)
    assert found.shape[:2] == expected.shape[:2]
    close = 4 if kind == "jpg" else 0
    assert np.abs(found.astype(int) - expected.reshape(*expected.shape[:2], -1)).max() <= close


def test_the_tag_of_xmp_counts_too(tmp_path: Path) -> None:
    array = pixels(3, 7)
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    chunk = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    np.testing.assert_array_equal(read(png(tmp_path / "a.png", array, 0, before=(chunk,)))[..., 0], UPRIGHT[6](array))


PALETTE = pixels(4, 3)
INDICES = pixels(5, 8, high=4)
PACKED = np.packbits(np.unpackbits(INDICES[..., None], axis=2)[..., -2:].reshape(5, -1), axis=1)  # 2 bits a pixel
BITS = pixels(5, 8, high=2)


OPAQUE = np.full((5, 8), 255)


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


def test_a_cameras_photograph_is_read_without_its_previews(tmp_path: Path) -> None:
    path = tmp_path / "photograph.jpg"
    array = np.broadcast_to(np.arange(8, dtype=np.uint8)[:, None] * 30, (8, 8))
    Image.fromarray(array).save(path, "MPO", save_all=True, append_images=[Image.new("L", (4, 4))], quality=100)
    assert path.read_bytes().count(b"\xff\xd8\xff") == 2
    np.testing.assert_allclose(read(path)[..., 0], array, atol=4)


def pages(path: Path, kind: str) -> None:
    frames = [Image.fromarray(each) for each in pixels(10, 5, 8, 3)]
    frames[0].save(path, format=kind, save_all=True, append_images=frames[1:])


DEEP = pixels(5, 8, 3, high=2**16, dtype="<u2")
SMALL = pixels(5, 8, 3)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: png(path, DEEP, 2, 16), "has 16 bits a channel"),
        (lambda path: png(path, DEEP[..., 0], 0, 16), "has pixels of kind I;16"),
        (lambda path: tiff(path, DEEP, 2), "has 16 bits a channel"),
        (lambda path: tiff(path, DEEP[..., :2], 1, t338=2), "cannot be read as an image"),
        (lambda path: tiff(path, DEEP.transpose(2, 0, 1).reshape(5, 8, 3), 2, t284=2), "has 16 bits a channel"),
        (lambda path: path.write_bytes(b"P6 8 5 65535\n" + DEEP.tobytes()), "has 16 bits a channel"),
        (lambda path: path.write_bytes(b"P5 8 5 1023\n" + DEEP[..., 0].tobytes()), "has pixels of kind I"),
        (lambda path: tiff(path, SMALL[..., 0], t339=2), "has signed pixels"),
        (lambda path: tiff(path, SMALL[..., 0].astype("<i4"), t339=2), "has pixels of kind I"),
        (lambda path: tiff(path, SMALL[..., 0].astype("<f4"), t339=3), "has pixels of kind F"),
        (lambda path: tiff(path, SMALL, 6), "has pixels of kind YCbCr"),
        (lambda path: Image.fromarray(pixels(5, 8, 4), "CMYK").save(path, "JPEG"), "has pixels of kind CMYK"),
        (lambda path: png(path, PACKED, 0, 2, before=((b"tRNS", bytes([0, 1])),)), "has a transparent level"),
        (lambda path: pages(path, "PNG"), "holds 10 images: save each in a file of its own"),
        (lambda path: pages(path, "TIFF"), "holds 10 images: save each in a file of its own"),
        (lambda path: pages(path, "GIF"), "cannot be read as an image"),
    ],
)
def test_kinds_that_pillow_would_change_are_refused(write: Any, message: str, tmp_path: Path) -> None:
    write(tmp_path / "image.png")
    for reading in (read_shape, lambda path: read_image(path, (3, 5, 8))):
        with pytest.raises(InputError, match=rf"image\.png {message}"):
            reading(tmp_path / "image.png")


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp", "bmp", "ppm"])
@pytest.mark.parametrize("share", [0, 0.1, 0.9])
def test_a_truncated_image_is_named(kind: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"image.{kind}"
    Image.fromarray(pixels(40, 40, 3)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=rf"image\.{kind} cannot be read as an image"):
        read(path)
