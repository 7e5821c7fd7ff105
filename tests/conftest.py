"""What many tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Each test draws the same numbers, whichever tests ran before it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
