from __future__ import annotations

import pytest
import torch

from partae.activation import ACTIVATIONS, activation
from partae.checks import InputError


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_lie_in_the_stated_interval_and_reach_towards_its_ends(name: str) -> None:
    module, (low, high) = activation("encoder.activation", name, 1)
    values = module(torch.linspace(-50, 50, 1001)[:, None])
    assert values.min() >= low
    assert values.max() <= high
    assert values.min() <= max(low, -4) + 1e-3
    assert values.max() >= min(high, 40) - 1e-3


def test_an_unknown_name_is_refused_with_its_key() -> None:
    with pytest.raises(InputError, match=r"decoder\.activation .* got 'sine'"):
        activation("decoder.activation", "sine", 1)
