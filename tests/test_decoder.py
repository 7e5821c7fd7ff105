from __future__ import annotations

import pytest
import torch

from partae.checks import InputError
from partae.decoder import Dictionary


def test_decoding_is_the_activation_of_the_weighted_atoms_and_the_bias() -> None:
    decoder = Dictionary((2, 3, 4), latent_dim=5)
    with torch.no_grad():
        decoder.bias.normal_()
    code = torch.randn(6, 5)
    expected = torch.einsum("bk,kchw->bchw", code, decoder.atoms) + decoder.bias
    torch.testing.assert_close(decoder(code), torch.where(expected > 0, expected, 0.1 * expected))


def test_other_atoms_take_the_place_of_its_own() -> None:
    decoder = Dictionary((1, 2, 2), latent_dim=2, activation="identity")
    atoms = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 2.0]]]])
    decoded = decoder.decode(torch.tensor([[3.0, 4.0]]), atoms=atoms)
    torch.testing.assert_close(decoded, torch.tensor([[[[3.0, 0.0], [0.0, 8.0]]]]))


def test_a_one_hot_code_gives_its_atom_back() -> None:
    decoder = Dictionary((1, 3, 3), latent_dim=4, activation="identity")
    torch.testing.assert_close(decoder(torch.eye(4)), decoder.atoms)


@pytest.mark.parametrize("start", [0.0, -3.0])
def test_without_a_learned_bias_it_stays_as_it_starts(start: float) -> None:
    decoder = Dictionary((1, 2, 2), latent_dim=2, biased=False, initial_bias=start)
    decoder(torch.ones(1, 2)).sum().backward()
    assert decoder.atoms.grad is not None
    assert decoder.bias.grad is None
    assert decoder.bias.eq(start).all()
    assert Dictionary((1, 2, 2), latent_dim=2, initial_bias=start).bias.requires_grad


def test_an_unknown_activation_is_refused_by_key() -> None:
    with pytest.raises(InputError, match=r"decoder\.activation .* got 'sine'"):
        Dictionary((1, 2, 2), latent_dim=1, activation="sine")
