"""Image files, most of them written here byte by byte, against arithmetic on the arrays that were written."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from partae.checks import InputError
from partae.data.decoding import read_image, read_shape
from tests.data.image_files import PACKED, pixels, png, read, tiff

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


def exif(orientation: int) -> bytes:
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


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
