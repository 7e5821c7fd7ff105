"""A stack that is compiled, and one that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from partae.constraint import NonNegative
from partae.encoder import Dense
from partae.sweep.stack import Member
from tests.sweep.stack.test_lockstep import CASES, SHAPE, assert_equal, builder, stacked


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder", [partial(Dense, SHAPE, 5), partial(Dense, SHAPE, 5, "logistic", hidden=(9,), batch_norm=True)]
)
def test_a_compiled_stack_equals_the_plain_one(encoder: Callable[[], nn.Module]) -> None:
    case = CASES["kl, nonnegative, adam"]._replace(encoder=encoder)
    compiled, plain = ([Member(builder(case)(index)) for index in range(3)] for _ in range(2))
    stack = stacked(compiled, [NonNegative()], epochs=3, compiled=True, batch_size=16)
    assert stack.models.compiled is not None
    stacked(plain, [NonNegative()], epochs=3)
    for one, other in zip(compiled, plain, strict=True):
        assert_equal(one.model, other.model)


def test_a_stack_trains_where_it_cannot_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        def fail(*_: Any) -> None:
            raise RuntimeError("no compiler")

        return fail

    monkeypatch.setattr(torch, "compile", refuse)
    members = [Member(builder(CASES["kl, nonnegative, adam"])(0))]
    with pytest.warns(UserWarning, match="without being compiled, which is slower: no compiler"):
        stacked(members, [], epochs=1, compiled=True, batch_size=16)
