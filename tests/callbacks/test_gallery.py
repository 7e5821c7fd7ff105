from __future__ import annotations

import pytest

from partae.callbacks import Gallery
from partae.checks import InputError


def test_a_bad_period_is_refused_by_key() -> None:
    with pytest.raises(InputError, match=r"callbacks\.gallery\.every_n_epochs .* got 0"):
        Gallery(every_n_epochs=0)
