from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from partae.checks import InputError
from partae.decoder import Dictionary
from partae.run.training import train
from tests.conftest import Compose


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


@pytest.mark.parametrize("start", [0.0, -3.0])
def test_without_a_learned_bias_it_stays_as_it_starts(start: float) -> None:
    decoder = Dictionary((1, 2, 2), latent_dim=2, biased=False, initial_bias=start)
    decoder(torch.ones(1, 2)).sum().backward()
    assert decoder.atoms.grad is not None
    assert decoder.bias.grad is None
    assert decoder.bias.eq(start).all()
    assert Dictionary((1, 2, 2), latent_dim=2, initial_bias=start).bias.requires_grad


def test_a_decoder_of_ones_own_is_one_class_and_one_file(
    composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its atoms are computed, so that they need no constraint, and cannot be projected by one."""
    (tmp_path / "own_decoder.py").write_text(
        "import torch\n"
        "from partae.decoder import Decoder\n"
        "class Softplus(Decoder):\n"
        "    def __init__(self, image_shape, latent_dim):\n"
        "        super().__init__()\n"
        "        self.image_shape, self.latent_dim = image_shape, latent_dim\n"
        "        self.free = torch.nn.Parameter(torch.randn(latent_dim, *image_shape))\n"
        "        self.register_buffer('bias', torch.zeros(*image_shape))\n"
        "    @property\n"
        "    def atoms(self):\n"
        "        return torch.nn.functional.softplus(self.free)\n"
        "    def decode(self, code, atoms=None, bias=None):\n"
        "        atoms, bias = self.atoms if atoms is None else atoms, self.bias if bias is None else bias\n"
        "        return torch.einsum('bk,kchw->bchw', code, atoms) + bias\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "decoder").mkdir()
    (tmp_path / "decoder" / "softplus.yaml").write_text(
        "_target_: own_decoder.Softplus\nimage_shape: ${data.image_shape}\nlatent_dim: ${latent_dim}\n"
    )
    own = [f"hydra.searchpath=[{tmp_path}]", "decoder=softplus", "data=bars", "latent_dim=4", "trainer.max_epochs=1"]
    own += ["trainer.accelerator=cpu", "approximation=dilation"]
    measures = train(composed(*own, "constraint=none"), tmp_path / "run")
    assert 0 < measures["test/max_approximation_error"] < math.inf
    with pytest.raises(InputError, match=r"constraint=nonnegative .*decoder=Softplus computes them"):
        train(composed(*own), tmp_path / "other")
    with pytest.raises(InstantiationException, match=r"reconstruction=bce .*decoder=Softplus gives values"):
        instantiate(composed(*own, "reconstruction=bce").model)
