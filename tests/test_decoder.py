from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import nn

from partae.checks import InputError
from partae.decoder import Dictionary, MaxTimes
from partae.morphology import dilation
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


def max_times(**arguments: Any) -> MaxTimes:
    """Of five random atoms and a random bias of 2 × 3 × 4 pixels, all between 0.1 and 1."""
    decoder = MaxTimes((2, 3, 4), latent_dim=5, initial_bias=0.5, **arguments).double()
    for parameter in decoder.parameters():
        nn.init.uniform_(parameter, 0.1, 1)
    return decoder


def test_each_pixel_is_that_of_its_largest_weighted_atom_or_of_the_bias() -> None:
    decoder, code = max_times(), torch.rand(6, 5).double()
    weighted = torch.einsum("bk,kchw->bkchw", code, decoder.atoms)
    expected = torch.maximum(weighted.amax(dim=1), decoder.bias)
    assert 0 < (expected == decoder.bias).sum() < expected.numel()
    torch.testing.assert_close(decoder(code), expected)
    torch.testing.assert_close(decoder(-code), decoder.bias.expand(6, -1, -1, -1))


@pytest.mark.parametrize("radius", [1, 2, 3, 5])
def test_decoding_by_dilated_atoms_and_bias_is_the_dilation(radius: int) -> None:
    decoder, code, operator = max_times(activation="tanh"), torch.rand(6, 5).double(), dilation(radius)
    decoded = decoder.decode(code, operator(decoder.atoms), operator(decoder.bias[None])[0])
    assert torch.equal(decoded, operator(decoder(code)))


def test_the_gradient_of_the_maximum_is_that_of_its_place() -> None:
    decoder, code = max_times(activation="tanh"), torch.rand(6, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(decoder.decode, (code, decoder.atoms, decoder.bias))


def test_a_soft_gradient_gives_each_atom_its_share_of_every_pixel() -> None:
    sharpness = 2
    exact, soft, code = max_times(), max_times(sharpness=sharpness), torch.rand(6, 5).double()
    soft.load_state_dict(exact.state_dict())
    images = soft(code)
    assert torch.equal(images, exact(code))
    images.sum().backward()
    weighted = torch.einsum("bk,kchw->bkchw", code, exact.atoms)
    shares = (weighted / images[:, None]) ** sharpness
    assert soft.atoms.grad is not None
    torch.testing.assert_close(soft.atoms.grad, torch.einsum("bk,bkchw->kchw", code, shares))


def test_no_atom_has_more_than_the_whole_gradient_of_a_dark_pixel() -> None:
    decoder = MaxTimes((1, 4, 4), latent_dim=3, sharpness=3)
    nn.init.uniform_(decoder.atoms)
    with torch.no_grad():
        decoder.atoms[:, :, :2] *= torch.tensor([0.0, 1e-9, 1e-6, 1e-3])
    code = torch.rand(6, 3).requires_grad_()
    decoder(code).sum().backward()
    assert code.grad is not None
    assert (code.grad <= decoder.atoms.sum(dim=(1, 2, 3)) * (1 + 1e-5)).all()


def test_a_trained_max_approximation_is_the_dilated_reconstruction(composed: Compose) -> None:
    own = ["decoder=max_times", "decoder.initial_bias=0.1", "decoder.sharpness=2", "data=bars", "latent_dim=8"]
    model, images = instantiate(composed(*own, "approximation=dilation").model), torch.rand(9, 1, 8, 8)
    optimizer, before = model.build_optimizer(model.parameters()), sum(model.losses(images).values())
    for _ in range(30):
        optimizer.zero_grad()
        sum(model.losses(images).values()).backward()
        optimizer.step()
    assert sum(model.losses(images).values()) < before
    assert model.bias.unique().numel() > 1
    for radius in (1, 2, 3, 5):
        rendering = model.render(model.encode(images), dilation(radius))
        assert (rendering - dilation(radius)(model.reconstruct(images))).abs().max() < 1e-6


@pytest.mark.parametrize("sharpness", [None, 3])
def test_models_decode_as_a_stack_as_they_do_alone(sharpness: int | None) -> None:
    decoder = max_times(sharpness=sharpness)
    codes, atoms = torch.rand(3, 6, 5).double(), torch.rand(3, 5, 2, 3, 4).double()
    together = torch.func.vmap(decoder.decode)(codes, atoms)
    alone = [decoder.decode(*pair) for pair in zip(codes, atoms, strict=True)]
    torch.testing.assert_close(together, torch.stack(alone))


def test_each_atom_starts_as_the_brightest_somewhere() -> None:
    decoder = MaxTimes((1, 28, 28), latent_dim=100)
    assert len(decoder.atoms.argmax(dim=0).unique()) == 100


@pytest.mark.parametrize("name", ["normalised_relu", "logistic"])
def test_a_maximum_refuses_an_activation_that_does_not_commute_with_a_dilation(name: str) -> None:
    with pytest.raises(InputError, match=f"needs an increasing activation.*got {name}"):
        MaxTimes((1, 4, 4), latent_dim=3, activation=name)


def test_the_largest_atom_learns_however_small_it_is() -> None:
    decoder = MaxTimes((1, 1, 1), latent_dim=2, sharpness=4)
    with torch.no_grad():
        decoder.atoms.copy_(torch.tensor([0.01, 0.005])[:, None, None, None])
    decoder.decode(torch.tensor([[0.5, 0.5]])).sum().backward()
    torch.testing.assert_close(decoder.atoms.grad[0].squeeze(), torch.tensor(0.5))  # type: ignore[index]
