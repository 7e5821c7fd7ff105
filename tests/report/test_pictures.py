from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from partae.report.pictures import sheet


def decoded(uri: str) -> np.ndarray:
    kind, _, content = uri.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


@pytest.mark.parametrize("count", [1, 2, 5, 9])
@pytest.mark.parametrize("grey", [True, False])
def test_each_tile_is_where_its_number_says(count: int, grey: bool) -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (count, 4, 6, 1 if grey else 3)) / 255
    tiles = np.broadcast_to(tiles, (count, 4, 6, 3))
    picture = sheet(list(tiles))
    pixels = decoded(picture.uri)
    assert pixels.ndim == (2 if grey else 3)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, picture.columns)
        assert row < picture.rows
        shown = pixels[4 * row : 4 * row + 4, 6 * column : 6 * column + 6]
        np.testing.assert_array_equal(shown, 255 * (tile[..., 0] if grey else tile))


def test_values_out_of_range_are_shown_as_the_nearest_end() -> None:
    tile = np.array([[[-1.0] * 3, [2.0] * 3]])
    np.testing.assert_array_equal(decoded(sheet([tile]).uri), [[0, 255]])
