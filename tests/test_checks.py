from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from partae.checks import InputError, one_of, random_seed, real, whole, wholes


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", True, None, np.int64(0), np.float64(1), np.True_, np.ones(1, int)])
def test_whole_refuses(value: Any) -> None:
    with pytest.raises(
        InputError, match=rf"latent_dim must be a whole number, at least 1; got {re.escape(repr(value))}"
    ):
        whole("latent_dim", value)


@pytest.mark.parametrize(
    "value", [-0.1, 1.5, math.nan, math.inf, "0.5", None, True, np.float32(1.5), np.float64("nan"), np.True_]
)
def test_real_refuses(value: Any) -> None:
    with pytest.raises(InputError, match=r"sparsity\.p must be a number in \[0, 1\]; got"):
        real("sparsity.p", value, low=0, high=1)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64])
def test_whole_numbers_of_numpy_become_those_of_python(kind: Any) -> None:
    found = whole("latent_dim", kind(3)), random_seed("seed", kind(3)), *wholes("encoder.hidden", np.full(2, 3, kind))
    assert found == (3, 3, 3, 3)
    assert {type(value) for value in found} == {int}


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble, np.int64])
def test_numbers_of_numpy_become_those_of_python(kind: Any) -> None:
    found = real("sparsity.beta", kind(2))
    assert found == 2
    assert type(found) is float


@pytest.mark.parametrize("values", ["12", 12, None, np.array(12), np.ones((2, 2), int), np.ones(2), [True], [0]])
def test_wholes_refuses(values: Any) -> None:
    with pytest.raises(InputError, match=r"encoder\.hidden must be a "):
        wholes("encoder.hidden", values)


def test_real_knows_open_ends() -> None:
    assert real("sparsity.p", 0, low=0, high=1, high_open=True) == 0
    with pytest.raises(InputError, match=r"in \(0, 1\]; got 0"):
        real("sparsity.p", 0, low=0, high=1, low_open=True)
    with pytest.raises(InputError, match=r"in \[0, 1\); got 1"):
        real("sparsity.p", 1, low=0, high=1, high_open=True)


def test_one_of_lists_what_there_is() -> None:
    with pytest.raises(InputError, match=r"encoder\.activation must be one of relu, tanh; got 'rellu'"):
        one_of("encoder.activation", "rellu", ("relu", "tanh"))
