from __future__ import annotations

from collections.abc import Iterator

import pytest

from partae.morphology import extrema


@pytest.fixture(params=["compiled", "tensors"], scope="module", autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each of the two ways to the places of extrema."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "tensors":
            patch.setattr(extrema, "COMPILED", None)
        elif extrema.COMPILED is None:
            pytest.skip("there was no C compiler when partae was installed")
        yield request.param
