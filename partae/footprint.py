"""Flat structuring elements: footprints of 1 inside and 0 outside, and the texts that name them on a command line."""

from __future__ import annotations

import math
import re
import zlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from partae.checks import InputError, whole

RADIUS = re.compile(r"(?:(disk|square|diamond):)?([0-9]{1,18})")
LINE = re.compile(r"line:([0-9]{1,18})@(-?[0-9]{1,18})")
ROWS = re.compile(r"\w+=([01]+(?:\.[01]+)*)", re.ASCII)


def disk(radius: int) -> Tensor:
    """The disk of ``radius`` pixels, (2 radius + 1, 2 radius + 1), 1 inside and 0 outside.

    Radius 0 is the pixel itself, radius 1 the cross of five pixels.

    >>> disk(1)
    tensor([[0., 1., 0.],
            [1., 1., 1.],
            [0., 1., 0.]])
    """
    offset = torch.arange(-radius, radius + 1)
    return (offset[:, None] ** 2 + offset[None, :] ** 2 <= radius**2).float()


def square(radius: int) -> Tensor:
    """The square of all pixels up to ``radius`` rows and columns away, (2 radius + 1, 2 radius + 1)."""
    return torch.ones(2 * radius + 1, 2 * radius + 1)


def diamond(radius: int) -> Tensor:
    """The pixels up to ``radius`` steps along rows and columns away, (2 radius + 1, 2 radius + 1)."""
    offset = torch.arange(-radius, radius + 1).abs()
    return (offset[:, None] + offset[None, :] <= radius).float()


def line(reach: int, degrees: int) -> Tensor:
    """A line of 2 ``reach`` + 1 pixels through the middle, (2 reach + 1, 2 reach + 1).

    It has one pixel in each column, or in each row where it is steeper than 45 degrees, which count from the
    horizontal, counter-clockwise.

    >>> line(1, 45)
    tensor([[0., 0., 1.],
            [0., 1., 0.],
            [1., 0., 0.]])
    """
    right, up = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    steps = torch.arange(-reach, reach + 1, dtype=torch.float64) / max(abs(right), abs(up))
    footprint = torch.zeros(2 * reach + 1, 2 * reach + 1)
    footprint[(reach - steps * up).round().long(), (reach + steps * right).round().long()] = 1
    return footprint


SHAPES = {"disk": disk, "square": square, "diamond": diamond}


def canonical(element: int | str) -> str:
    """The one text that says all of a structuring element, from a radius or the text of a user.

    A disk is its radius. A file is its name and its rows, so that nobody needs the file again.

    Raises:
        InputError: if it has another form, the length of a line is even, or a file holds no footprint.

    >>> canonical("disk:2"), canonical("line:5@225")
    ('2', 'line:5@45')
    """
    if not isinstance(element, str):
        return str(whole("the radius of operators", element, minimum=0))
    if element.startswith("file:"):
        return _read(Path(element.removeprefix("file:")))
    if found := RADIUS.fullmatch(element):
        shape, radius = found.groups("disk")
        return str(int(radius)) if shape == "disk" else f"{shape}:{int(radius)}"
    if found := LINE.fullmatch(element):
        length, degrees = map(int, found.groups())
        if length % 2 == 0:
            raise InputError(f"operators need a line of odd length, which has a middle pixel; got {element!r}")
        return f"line:{length}@{degrees % 180}"
    if _has_a_middle(element):
        return element
    raise InputError(
        "operators are written as a name, a colon and a structuring element, <radius>, square:<radius>, "
        "diamond:<radius>, line:<length>@<degrees> or file:<path>, for example dilation:1 or top_hat:line:5@45; got "
        f"the element {element!r}"
    )


def short(element: str) -> str:
    """A short name of a `canonical` structuring element: rows of a file are replaced by their checksum.

    >>> short("line:5@45"), short("corner=110.110.000")
    ('line:5@45', 'corner-3a95852a')
    """
    label, _, rows = element.partition("=")
    return f"{label}-{zlib.crc32(rows.encode()):08x}" if rows else element


def build(element: str, most: int) -> Tensor:
    """The footprint of a `canonical` structuring element, of odd height and width, with its origin in the middle.

    Args:
        element: as `canonical` gives it.
        most: pixels that it may reach from its origin, the sum of the height and width of images, say; a file's may
            reach further.
    """
    _, _, rows = element.partition("=")
    if rows:
        footprint = torch.tensor([[float(pixel) for pixel in row] for row in rows.split(".")])
        height, width = footprint.shape
        return F.pad(footprint, (0, 1 - width % 2, 0, 1 - height % 2))
    shape, _, size = element.rpartition(":")
    if shape == "line":
        length, degrees = map(int, size.split("@"))
        return line(min(length // 2, most), degrees)
    return SHAPES[shape or "disk"](min(int(size), most))


def rows_of(footprint: Tensor) -> str:
    """The rows of a footprint as a text.

    >>> rows_of(disk(1))
    '010.111.010'
    """
    return ".".join("".join(map(str, row)) for row in footprint.int().tolist())


def split(rows: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """A footprint as runs around its middle column and other pixels, but for the middle one.

    Returns:
        The reach of each run, shortest first, and its row; and the row and column of each other pixel; both from the
        middle.
    """
    pixels = [list(map(int, row)) for row in rows.split(".")]
    runs, others, middle = [], [], len(pixels[0]) // 2
    for down, row in enumerate(pixels, start=-(len(pixels) // 2)):
        pairs = [row[middle - right] * row[middle + right] for right in range(middle + 1)]
        reach = [*pairs, 0].index(0) - 1
        if reach > (down == 0):
            runs.append((reach, down))
        else:  # its pixels take no more steps
            reach = -1
        others += [(down, right) for right in range(-middle, middle + 1) if row[middle + right] and abs(right) > reach]
    return sorted(runs), [pixel for pixel in others if pixel != (0, 0)]


def _read(path: Path) -> str:
    """The `canonical` structuring element of a file of rows of 0 and 1."""
    if not path.is_file():
        raise InputError(f"operators name the footprint {path}, which is no file: give its path from here")
    try:
        rows = ["".join(row.split()) for row in path.read_text(encoding="ascii").splitlines() if row.strip()]
    except (OSError, ValueError):
        rows = []
    label = re.sub(r"\W+", "_", path.stem, flags=re.ASCII)[:40]
    element = f"{label}={'.'.join(rows)}"
    if not _has_a_middle(element):
        raise InputError(
            f"operators name the footprint {path}, which must be a text of rows of one length, of 0 and 1, with a 1 in "
            "the middle, as numpy.savetxt(path, footprint, fmt='%d') writes them"
        )
    return element


def _has_a_middle(element: str) -> bool:
    """Whether an element is a name and rows of one length whose middle pixel is inside: no pixel is without neighbours.

    Of an even number of rows or columns, the middle is the one behind, as for SciPy and Kornia.
    """
    found = ROWS.fullmatch(element)
    rows = found[1].split(".") if found else [""]
    return len({len(row) for row in rows}) == 1 and rows[len(rows) // 2][len(rows[0]) // 2 :].startswith("1")
