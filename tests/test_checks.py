from __future__ import annotations

import math

import pytest

from partae.checks import InputError, one_of, real, whole, within


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", True, None])
def test_whole_refuses(value: int) -> None:
    with pytest.raises(InputError, match=rf"latent_dim must be a whole number, at least 1; got {value!r}"):
        whole("latent_dim", value)


@pytest.mark.parametrize("value", [-0.1, 1.5, math.nan, math.inf, "0.5", None, True])
def test_real_refuses(value: float) -> None:
    with pytest.raises(InputError, match=r"sparsity\.p must be a number in \[0, 1\]; got"):
        real("sparsity.p", value, low=0, high=1)


def test_real_knows_open_ends() -> None:
    assert real("sparsity.p", 0, low=0, high=1, high_open=True) == 0
    with pytest.raises(InputError, match=r"in \(0, 1\]; got 0"):
        real("sparsity.p", 0, low=0, high=1, low_open=True)
    with pytest.raises(InputError, match=r"in \[0, 1\); got 1"):
        real("sparsity.p", 1, low=0, high=1, high_open=True)


def test_one_of_lists_what_there_is() -> None:
    with pytest.raises(InputError, match=r"encoder\.activation must be one of relu, tanh; got 'rellu'"):
        one_of("encoder.activation", "rellu", ("relu", "tanh"))


def test_within() -> None:
    assert within((0, 1), (0, 1))
    assert not within((-1, 1), (0, 1))
    assert not within((0, math.inf), (0, 1))
