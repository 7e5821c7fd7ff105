from __future__ import annotations

import pytest
import torch
from torch import nn

from partae.checks import InputError
from partae.encoder import Dense


def test_shallow_code_is_the_sigmoid_of_one_linear_layer() -> None:
    encoder = Dense((1, 4, 5), latent_dim=3)
    images = torch.rand(7, 1, 4, 5)
    expected = torch.sigmoid(images.reshape(7, 20) @ encoder.last.weight.T + encoder.last.bias)
    torch.testing.assert_close(encoder(images), expected)


def test_hidden_layers_have_the_widths_asked_for() -> None:
    encoder = Dense((2, 3, 3), latent_dim=4, hidden=[8, 6])
    shapes = [tuple(layer.weight.shape) for layer in encoder.modules() if isinstance(layer, nn.Linear)]
    assert shapes == [(8, 18), (6, 8), (4, 6)]
    assert encoder(torch.rand(5, 2, 3, 3)).shape == (5, 4)


def test_weights_are_glorot_uniform_and_biases_zero() -> None:
    last = Dense((1, 28, 28), latent_dim=100).last
    bound = (6 / (784 + 100)) ** 0.5
    assert 0.99 * bound < last.weight.abs().max() <= bound
    assert not last.bias.any()


def test_tied_weights_are_the_atoms_and_no_others() -> None:
    encoder = Dense((1, 4, 4), latent_dim=3, activation="identity", tied=True)
    assert [name for name, _ in encoder.named_parameters()] == ["last.bias"]
    atoms, images = torch.randn(3, 1, 4, 4), torch.rand(5, 1, 4, 4)
    torch.testing.assert_close(encoder(images, atoms), torch.einsum("bchw,kchw->bk", images, atoms))


def test_the_code_stays_in_its_range() -> None:
    encoder = Dense((1, 4, 4), latent_dim=3, activation="tanh")
    code = encoder(100 * torch.randn(50, 1, 4, 4))
    low, high = encoder.code_range
    assert low <= code.min() < 0 < code.max() <= high


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latent_dim": 0}, "latent_dim .* got 0"),
        ({"latent_dim": 2, "hidden": [16, 0]}, r"encoder\.hidden .* got 0"),
        ({"latent_dim": 2, "activation": "sine"}, r"encoder\.activation .* got 'sine'"),
        ({"latent_dim": 2, "hidden": [8], "tied": True}, r"encoder\.tied=true needs encoder\.hidden=\[\]"),
    ],
)
def test_bad_arguments_are_refused_by_key(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Dense((1, 4, 4), **arguments)  # type: ignore[arg-type]
