from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from partae.morphology import extrema
from partae.morphology.extrema import places_by_moved_rows, places_of_extrema

PIXELS = (0.0, -0.0, 0.5, 1.0, -1.0, 1e-38, 1e-45, -1e-45, 3.4e38, -3.4e38, math.inf, -math.inf, math.nan)

compiled = pytest.mark.parametrize("way", ["compiled"], indirect=True)


@compiled
@given(st.data(), st.integers(0, 9), st.integers(1, 6), st.integers(1, 6), st.booleans())
@pytest.mark.parametrize("precision", [torch.float32, torch.float16, torch.bfloat16])
def test_tensors_lead_to_the_same_places(
    precision: torch.dtype, data: st.DataObject, radius: int, height: int, width: int, largest: bool
) -> None:
    count = 2 * height * width
    pixels = data.draw(st.lists(st.sampled_from(PIXELS), min_size=count, max_size=count))
    images = torch.tensor(pixels).view(2, 1, height, width).to(precision)
    places = places_of_extrema(images, radius, largest)
    assert places.equal(places_by_moved_rows(images, radius, largest))


@compiled
@pytest.mark.parametrize("radius", [0, 1, 2, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("largest", [True, False])
def test_tensors_lead_to_the_same_places_of_atoms(radius: int, largest: bool) -> None:
    atoms = torch.rand(20, 3, 28, 25).mul(9).sub(2).round().relu()
    assert places_of_extrema(atoms, radius, largest).equal(places_by_moved_rows(atoms, radius, largest))


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_pytorch_finds_nothing_wrong_with_the_operator(precision: torch.dtype) -> None:
    images = torch.randn(3, 2, 5, 4, dtype=precision)
    for given_ in (images, images.transpose(2, 3), images[:, :, ::2], images.transpose(0, 1), images[:0]):
        torch.library.opcheck(torch.ops.partae.places_of_extrema, (given_, 2, True))
        assert places_of_extrema(given_, 2, True).equal(places_of_extrema(given_.contiguous(), 2, True))


@pytest.mark.parametrize(("radius", "same"), [(-1, 0), (8, 7), (10**9, 7), (2**62, 7)])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_any_radius_is_taken(radius: int, same: int, precision: torch.dtype) -> None:
    images = torch.rand(2, 1, 4, 3, dtype=precision)
    assert places_of_extrema(images, radius, True).equal(places_of_extrema(images, same, True))


def test_what_there_is_no_memory_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extrema, "COMPILED", lambda *_: 0)
    with pytest.raises(MemoryError, match="radius 7 of an image of 4 x 5 pixels"):
        places_of_extrema(torch.zeros(1, 1, 4, 5), 7, True)


@pytest.mark.parametrize("there", ["nothing", "of another version"])
def test_without_its_function_there_is_no_compiled_one(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> object:
        if there == "nothing":
            raise OSError("no file with expected extension")
        return object()

    monkeypatch.setattr(extrema, "load_library", load)
    assert extrema.compiled() is None
