from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from partae import AutoEncoder
from partae.checks import InputError
from partae.specification import build, describe
from tests.conftest import Compose


@pytest.mark.parametrize(
    "overrides",
    [[], ["sparsity=none"], ["encoder.hidden=[7,5]", "encoder.activation=tanh", "sparsity=none"], ["model=asymmetric"]],
)
def test_a_model_comes_back_as_it_was(overrides: list[str], composed: Compose) -> None:
    model = instantiate(composed("latent_dim=6", *overrides).model)
    again = build(describe(model), AutoEncoder)
    assert describe(again) == describe(model)
    again.load_state_dict(model.state_dict())
    images = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(again.eval()(images), model.eval()(images), rtol=0, atol=0)


def test_a_description_is_plain_data(composed: Compose) -> None:
    def check(value: object) -> None:
        if isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                check(item)
        else:
            assert value is None or type(value) in (str, int, float, bool), value

    check(describe(instantiate(composed().model)))


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "partae.data.fashion_mnist.subprocess.Popen",  # through a module to what it imported
        "partae.data.fashion_mnist.datasets",
        "partae.autoencoder.Adam",
        "partae.files.write_bytes",  # ours, but not a module
        "torch.nn.Module.__init__",
        "torch.nn.modules.module.OrderedDict",
        "torch.nn_evil.Sigmoid",
        "partae_evil.Sigmoid",
        "torch.load",
        "partae",
        "",
        None,
        7,
        ["os.system"],
    ],
)
def test_nothing_but_modules_of_partae_and_torch_is_built(target: object, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    spec: dict[str, Any] = {"_target_": target, "command": f"touch {marker}"}
    for hostile in (spec, {"_target_": "partae.autoencoder.AutoEncoder", "encoder": spec, "decoder": spec}):
        with pytest.raises(InputError, match="refused"):
            build(hostile, nn.Module)
    assert not marker.exists()


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="has no argument size"):
        build({"_target_": "torch.nn.modules.activation.Sigmoid", "size": 3}, nn.Module)


def test_a_file_does_not_say_where_a_module_lives() -> None:
    spec = {"_target_": "torch.nn.Linear", "in_features": 10**5, "out_features": 10**5, "device": "cpu"}
    with pytest.raises(InputError, match="has no argument device"):
        build(spec, nn.Module)


def test_a_module_of_another_kind_is_refused_before_it_is_built() -> None:
    with pytest.raises(InputError, match="Linear is not a AutoEncoder"):
        build({"_target_": "torch.nn.Linear", "in_features": 10**9, "out_features": 10**9}, AutoEncoder)


def test_the_module_of_a_class_counts_and_not_the_path_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Evil(nn.Module):
        def __init__(self) -> None:
            os.abort()

    monkeypatch.setattr("partae.sparsity.Evil", Evil, raising=False)
    with pytest.raises(InputError, match="refused"):
        build({"_target_": "partae.sparsity.Evil"}, nn.Module)
