from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import nn

import partae
from partae.activation import ACTIVATIONS, NormalisedReLU
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.run.training import train
from partae.saving.specification import describe, restore
from tests.conftest import Compose


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_lie_in_the_stated_interval_and_reach_towards_its_ends(name: str) -> None:
    build, (low, high) = ACTIVATIONS[name]
    module = build(2001)
    values = module(torch.linspace(-50, 50, 2001).diag())
    assert values.min() >= low
    assert values.max() <= high
    assert values.min() <= max(low, -4) + 1e-3
    assert values.max() >= min(high, 40) - 1e-3


def test_normalised_codes_have_one_length_and_zeros_stay() -> None:
    module = NormalisedReLU(100)
    inputs = torch.randn(8, 100)
    inputs[0] = -1
    code = module(inputs.requires_grad_())
    code.square().sum().backward()
    torch.testing.assert_close(code[1:].norm(dim=1), torch.full((7,), 10.0))
    torch.testing.assert_close(code, module(3 * inputs))
    assert (code[0] == 0).all()
    assert inputs.grad is not None
    assert inputs.grad.isfinite().all()


def test_an_activation_with_arguments_is_one_class_and_one_file(
    composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class of the user's own is trained with, resumed and swept over; as any class of hers, it is not loaded."""
    (tmp_path / "own_activation.py").write_text(
        "from torch import nn\n"
        "class Power(nn.Module):\n"
        "    interval = (0.0, float('inf'))\n"
        "    def __init__(self, exponent):\n"
        "        super().__init__()\n"
        "        self.exponent = exponent\n"
        "    def forward(self, inputs):\n"
        "        return inputs.relu() ** self.exponent\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for group in ("encoder", "decoder"):
        (tmp_path / group / "activation").mkdir(parents=True)
        (tmp_path / group / "activation" / "power.yaml").write_text("_target_: own_activation.Power\nexponent: 2.0\n")
    own = [f"hydra.searchpath=[{tmp_path}]", "encoder/activation=power", "decoder/activation=power"]
    brief = ["data=bars", "latent_dim=4", "trainer.max_epochs=1", "trainer.accelerator=cpu", "sparsity=l1"]
    cfg = composed(*own, *brief, "encoder.activation.exponent=3")
    model = instantiate(cfg.model)
    assert model.encoder.code_range == (0.0, math.inf)
    images = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(model.encode(images), model.encoder.last(images.flatten(1)).relu() ** 3)
    train(cfg, tmp_path / "run")
    with pytest.raises(InputError, match=r"own_activation\.Power"):
        partae.load(tmp_path / "run")
    with pytest.raises(InstantiationException, match=r"sparsity=kl needs .*encoder\.activation=Power\(\) gives"):
        instantiate(composed(*own, "sparsity=kl").model)


def test_an_activation_of_torch_with_arguments_is_loaded_again() -> None:
    encoder = Dense((1, 2, 2), 3, activation=nn.LeakyReLU(0.3))
    again = restore(describe(encoder), encoder.state_dict(), Dense)
    assert repr(again.activation) == "LeakyReLU(negative_slope=0.3)"


@pytest.mark.parametrize("choice", ["sine", "", 3, {"a": 1}])
def test_what_is_no_activation_is_refused_with_its_key(choice: Any) -> None:
    with pytest.raises(InputError, match=rf"decoder\.activation must be one of .* got {choice!r}"):
        Dictionary((1, 2, 2), 1, activation=choice)
