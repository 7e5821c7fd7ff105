"""Reads an image file: upright, opaque, grey or in colour. Refuses what Pillow would read with other values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from partae.checks import InputError

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM")
GREY = ("1", "L", "LA", "La")
COLOUR = ("RGB", "RGBA", "P", "PA")

ORIENTATION, BITS, SAMPLE_FORMAT = 0x0112, 0x0102, 0x0153  # tags of EXIF and TIFF
SIDEWAYS = (5, 6, 7, 8)  # orientations that turn an image by a quarter


def read_shape(path: Path) -> tuple[int, int, int]:
    """Read (C, H, W) of an image that stands upright; C is 1 (grey) or 3 (colour).

    Raises:
        InputError: if the file is damaged or of a kind that is refused; the message names it.
    """
    with _opened(path) as image:
        sideways = _orientation(image) in SIDEWAYS
        width, height = image.size[::-1] if sideways else image.size
        return (1 if image.mode in GREY else 3), height, width


def read_image(path: Path, shape: tuple[int, ...], background: int = 0) -> NDArray[np.uint8]:
    """Read an image as uint8 (C, H, W), upright and stretched to ``shape``.

    Args:
        path: the file.
        shape: (C, H, W); C is 1 (grey) or 3 (colour).
        background: grey level in [0, 255] behind transparent pixels.

    Raises:
        InputError: if the file is damaged or of a kind that is refused; the message names it.
    """
    channels, height, width = shape
    with _opened(path) as opened:
        image = _opaque(ImageOps.exif_transpose(opened), background).convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(height, width, channels).transpose(2, 0, 1)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An opened image of a kind that is read; any error names the file."""
    try:
        # Pillow maps a file that it opens itself, and then garbles a TIFF that must be turned
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
            # a camera's JPEG holds previews after the photograph, which no viewer shows
            count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
            if count > 1:
                raise InputError(f"{path} holds {count} images: save each in a file of its own")
            if kind := _refused_kind(image):
                raise InputError(f"{path} has {kind}: convert it to 8 bits a channel, grey or RGB")
            yield image
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{path} cannot be read as an image: it is none of {', '.join(FORMATS)}") from error
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{path} cannot be read as an image ({reason}): mend or delete it") from error


def _refused_kind(image: Any) -> str:
    """The kind of an image's pixels if Pillow would change their values; else empty."""
    if image.mode not in GREY + COLOUR:
        return f"pixels of kind {image.mode}"
    deep = False
    if image.format == "TIFF":
        tags = image.tag_v2
        if set(tags.get(SAMPLE_FORMAT, (1,))) != {1}:
            return "signed pixels"
        deep = max(tags.get(BITS, (1,))) > 8
    elif image.format in ("PNG", "PPM"):
        packed = image.tile[0][3]  # the arguments of Pillow's decoder
        if packed in ("L;2", "L;4") and "transparency" in image.info:
            return "a transparent level among those of 2 or 4 bits"
        white = packed[-1] if isinstance(packed, tuple) else 255  # in a PPM
        deep = white > 255 or ";16" in packed
    return "16 bits a channel" if deep else ""


def _orientation(image: Image.Image) -> Any:
    """EXIF's number for how an image must still be turned, known before its pixels are."""
    orientation = image.getexif().get(ORIENTATION, 1)
    if image.format == "TIFF" and orientation != 1:
        image.load()  # Pillow turns a TIFF when it loads it, and changes the tag only then
        orientation = image.getexif().get(ORIENTATION, 1)
    return orientation


def _opaque(image: Image.Image, background: int) -> Image.Image:
    """The image on a grey background, if it has transparent pixels."""
    if not image.has_transparency_data:
        return image
    foreground = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
    opaque = Image.new("RGB", image.size, (background,) * 3)
    opaque.paste(foreground, mask=foreground)
    return opaque
