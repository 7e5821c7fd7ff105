"""One image file as numbers: upright, opaque, grey or in colour. What would not be read as it is meant is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from partae.checks import InputError

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM")
GREY = ("1", "L", "LA", "La")
COLOUR = ("RGB", "RGBA", "P", "PA")

ORIENTATION, BITS, SAMPLE_FORMAT = 0x0112, 0x0102, 0x0153  # tags of EXIF and TIFF
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)


def upright_shape(path: Path) -> tuple[int, int, int]:
    """(C, H, W) of an image, turned as its camera says; C is 1 (grey) or 3 (colour).

    Raises:
        InputError: if the file cannot be read, or would not be read as it is meant; the message names it.
    """
    with _opened(path) as image:
        sideways = _orientation(image) in SIDEWAYS
        width, height = image.size[::-1] if sideways else image.size
        return (1 if image.mode in GREY else 3), height, width


def decoded(path: Path, shape: tuple[int, ...], background: int = 0) -> NDArray[np.uint8]:
    """An image as uint8 of ``shape`` (C, H, W), to which it is stretched and of which C says whether grey or in colour.

    Args:
        path: the file.
        shape: (C, H, W); C is 1 or 3.
        background: grey level in [0, 255] that is seen through transparent pixels.

    Raises:
        InputError: if the file cannot be read, or would not be read as it is meant; the message names it.
    """
    channels, height, width = shape
    with _opened(path) as opened:
        orientation = _orientation(opened)
        image = _opaque(opened, background).convert("L" if channels == 1 else "RGB")
    if orientation in TURNS:
        image = image.transpose(TURNS[orientation])
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image whose head has been read and which can be read as it is meant; any error names the file."""
    try:
        # Pillow maps a file that it opens itself, and garbles a TIFF that lies on its side
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
            # behind the photograph in a camera's JPEG lie previews, which no viewer shows
            count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            if count > 1:
                raise InputError(f"{path} holds {count} images: save each in a file of its own")
            if kind := _unread_kind(image):
                raise InputError(f"{path} has {kind}: convert it to 8 bits a channel, grey or RGB")
            yield image
    except InputError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise _unreadable(path, error) from error


def _unread_kind(image: Any) -> str:
    """The kind of an image's pixels, where Pillow would change their values; otherwise empty."""
    if image.mode not in GREY + COLOUR:
        return f"pixels of kind {image.mode}"
    deep = False
    if image.format == "TIFF":
        tags = image.tag_v2
        if set(tags.get(SAMPLE_FORMAT, (1,))) != {1}:
            return "signed pixels"
        deep = max(tags.get(BITS, (1,))) > 8
    elif image.format in ("PNG", "PPM"):
        packed = image.tile[0][3]  # what Pillow's decoder is told of the pixels
        if packed in ("L;2", "L;4") and "transparency" in image.info:
            return "a transparent level among those of 2 or 4 bits"
        white = packed[-1] if isinstance(packed, tuple) else 255  # of a PPM
        deep = white > 255 or ";16" in packed
    return "16 bits a channel" if deep else ""


def _orientation(image: Image.Image) -> Any:
    """How an image must still be turned, as EXIF numbers it; 1 or any number that EXIF does not know: not at all."""
    orientation = image.getexif().get(ORIENTATION, 1)
    if image.format == "TIFF" and orientation != 1:
        image.load()  # Pillow turns a TIFF as it loads it, and only then says so
        orientation = image.getexif().get(ORIENTATION, 1)
    return orientation


def _opaque(image: Image.Image, background: int) -> Image.Image:
    """An image over a sheet of grey, where it has transparent pixels."""
    if not image.has_transparency_data:
        return image
    clear = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
    sheet = Image.new("RGB", image.size, (background,) * 3)
    sheet.paste(clear, mask=clear)
    return sheet


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, UnidentifiedImageError):
        reason = f"it is none of {', '.join(FORMATS)}"
    else:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return InputError(f"{path} cannot be read as an image ({reason}): mend or delete it")
