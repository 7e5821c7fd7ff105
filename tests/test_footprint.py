from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from torch import Tensor

from partae.checks import InputError
from partae.footprint import build, canonical, diamond, disk, line, short, square

RADII = (0, 1, 2, 3, 5)


@pytest.mark.parametrize("radius", RADII)
def test_disk_holds_the_pixels_within_the_radius(radius: int) -> None:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    np.testing.assert_array_equal(disk(radius).numpy(), np.hypot(x, y) <= radius)


@pytest.mark.parametrize(("shape", "connectivity"), [(square, 2), (diamond, 1)])
def test_squares_and_diamonds_are_those_of_scipy(shape: Callable[[int], Tensor], connectivity: int) -> None:
    unit = ndimage.generate_binary_structure(2, connectivity)
    for radius in RADII[1:]:
        np.testing.assert_array_equal(shape(radius).numpy(), ndimage.iterate_structure(unit, radius))


@pytest.mark.parametrize("degrees", range(0, 180, 15))
def test_a_line_has_its_length_and_its_direction(degrees: int) -> None:
    footprint = line(4, degrees).numpy()
    rows, columns = np.nonzero(footprint)
    assert len(rows) == 9
    assert footprint[4, 4] == 1
    assert ndimage.label(footprint, np.ones((3, 3)))[1] == 1
    np.testing.assert_array_equal(footprint, footprint[::-1, ::-1])
    np.testing.assert_array_equal(footprint, line(4, 180 - degrees).numpy()[:, ::-1])
    right, up = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    assert np.abs((columns - 4) * up - (4 - rows) * right).max() <= 0.5  # pixels from the true line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (3, "3"),
        ("disk:03", "3"),
        ("square:1", "square:1"),
        ("line:5@-45", "line:5@135"),
        ("line:5@180", "line:5@0"),
        ("corner=10.11", "corner=10.11"),
    ],
)
def test_a_structuring_element_has_one_text(text: int | str, expected: str) -> None:
    assert canonical(text) == canonical(expected) == expected


def test_a_file_is_read_once_and_named_by_its_name_and_its_rows(tmp_path: Path) -> None:
    footprint = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])
    file = tmp_path / "a corner.txt"
    np.savetxt(file, footprint, fmt="%d")
    element = canonical(f"file:{file}")
    assert element == "a_corner=1100.0110.0011" == canonical(element)
    np.testing.assert_array_equal(build(element, 100).numpy(), np.pad(footprint, ((0, 0), (0, 1))))
    assert short(element).startswith("a_corner-")
    np.savetxt(file, footprint[::-1], fmt="%d")
    assert short(canonical(f"file:{file}")) != short(element)
    file.write_text("\n11\n\n11\n")
    assert canonical(f"file:{file}") == "a_corner=11.11"


@pytest.mark.parametrize(
    "content", [b"", b"0 1\n1", b"1 2 1", b"1.0 1.0 1.0", b"1 0 1", b"0 1 0\n1 0 1\n0 1 0", b"\xff\x00", b"1;1;1"]
)
def test_a_file_without_a_footprint_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ring.txt"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"operators name the footprint .*ring\.txt, which must be .* numpy\.savetxt"):
        canonical(f"file:{file}")


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "ring.txt", Path("/dev/zero")):
        with pytest.raises(InputError, match=f"operators name the footprint {path}, which is no file"):
            canonical(f"file:{path}")
