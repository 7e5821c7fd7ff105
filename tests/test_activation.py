from __future__ import annotations

import pytest
import torch

from partae.activation import ACTIVATIONS, activation
from partae.checks import InputError


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_lie_in_the_stated_interval_and_reach_towards_its_ends(name: str) -> None:
    module, (low, high) = activation("encoder.activation", name, 2001)
    values = module(torch.linspace(-50, 50, 2001).diag())
    assert values.min() >= low
    assert values.max() <= high
    assert values.min() <= max(low, -4) + 1e-3
    assert values.max() >= min(high, 40) - 1e-3


def test_normalised_codes_have_one_length_and_zeros_stay() -> None:
    module, _ = activation("encoder.activation", "normalised_relu", 100)
    inputs = torch.randn(8, 100)
    inputs[0] = -1
    code = module(inputs.requires_grad_())
    code.square().sum().backward()
    torch.testing.assert_close(code[1:].norm(dim=1), torch.full((7,), 10.0))
    torch.testing.assert_close(code, module(3 * inputs))
    assert (code[0] == 0).all()
    assert inputs.grad is not None
    assert inputs.grad.isfinite().all()


def test_an_unknown_name_is_refused_with_its_key() -> None:
    with pytest.raises(InputError, match=r"decoder\.activation .* got 'sine'"):
        activation("decoder.activation", "sine", 1)
