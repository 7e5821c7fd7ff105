from __future__ import annotations

from partae import AutoEncoder
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.sweep.stack.company import is_worth_compiling

SHAPE = (1, 28, 28)


def test_a_long_training_is_worth_compiling() -> None:
    small, large = (AutoEncoder(Dense(SHAPE, width), Dictionary(SHAPE, width)) for width in (10, 1000))
    assert not is_worth_compiling(small, 32 * 1000)
    assert is_worth_compiling(large, 32 * 60_000 * 50)
