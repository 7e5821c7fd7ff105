from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from partae import AutoEncoder
from partae.checks import InputError
from partae.saving.specification import build, describe
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
    description = describe(instantiate(composed().model))
    assert json.loads(json.dumps(description)) == description


def test_arguments_may_be_mappings_and_lists() -> None:
    class Own(nn.Module):
        def __init__(self, activation: Any, hidden: Any) -> None:
            super().__init__()
            self.activation, self.hidden = activation, hidden

    own = Own(OmegaConf.create({"name": "relu", "k": 3}), OmegaConf.create([2, 3]))
    description = {"activation": {"name": "relu", "k": 3}, "hidden": [2, 3]}
    for comparing in (False, True):
        assert describe(own, comparing=comparing).items() > description.items()


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "partae.files.os.system",  # through a module to what it imports
        "partae.data.fetching.subprocess.Popen",
        "partae.saving.checkpoints.pickle",
        "partae.saving.checkpoints.pickle.loads",
        "partae.saving.specification.importlib.import_module",
        "partae.model.lightning.LightningModule",  # a module, and not of ours
        "partae.model.lightning.nn.Sequential",
        "partae..sparsity.KL",
        ".partae.sparsity.KL",
        "partae.sparsity.",
        "partae.sparsity.KL\n",
        "partae/sparsity.KL",
        "partae.sparsity.torch.hub.load",
        "torch.nn.Linear",  # a layer: no activation or loss
        "torch.nn.DataParallel",
        "torch.nn.Module",
        "partae.files.write_bytes",  # ours, but not a module
        "torch.nn.Module.__init__",
        "torch.nn.modules.module.OrderedDict",
        "torch.nn_evil.Sigmoid",
        "partae_evil.Sigmoid",
        "partae",
        "",
        None,
        ["os.system"],
    ],
)
def test_nothing_but_modules_of_partae_and_torch_is_built(target: object, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    spec: dict[str, Any] = {"_target_": target, "command": f"touch {marker}"}
    nested = {"_target_": "partae.model.autoencoder.AutoEncoder", "encoder": spec, "decoder": spec}
    for hostile in (spec, nested, {**nested, "encoder": [[spec]]}, {**nested, "encoder": nested}):
        with pytest.raises(InputError, match="refused"):
            build(hostile, nn.Module)
    assert not marker.exists()


@pytest.mark.parametrize("value", [torch.zeros(3), b"bytes", {1, 2}, torch.float32, (1, 2), 1j])
def test_what_is_not_plain_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=f"a {type(value).__name__} does not belong in a specification"):
        build({"_target_": "torch.nn.modules.activation.Threshold", "threshold": 0.5, "value": [value]}, nn.Module)


def test_a_specification_without_end_is_refused() -> None:
    lists: list[Any] = [1]
    for _ in range(40):
        lists = [lists] * 10  # ten to the power of 40 values in 40 short lists
    endless: dict[str, Any] = {"_target_": "torch.nn.modules.activation.Sigmoid"}
    endless["inner"] = endless
    for spec in ({"_target_": "partae.encoder.Dense", "hidden": lists}, endless):
        with pytest.raises(InputError, match="no end"):
            build(spec, nn.Module)


def test_a_message_does_not_repeat_all_that_a_file_says() -> None:
    with pytest.raises(InputError, match="refused") as refusal:
        build({"_target_": "\x1b[2J" * 10**6}, nn.Module)
    assert len(str(refusal.value)) < 400
    assert "\x1b" not in str(refusal.value)


@pytest.mark.parametrize("argument", ["size", "device", "dtype"])  # a file does not say where a module lives
def test_unknown_arguments_are_refused(argument: str) -> None:
    with pytest.raises(InputError, match=f"has no argument {argument}"):
        build({"_target_": "torch.nn.MultiheadAttention", "embed_dim": 10**5, "num_heads": 1, argument: 3}, nn.Module)


def test_a_module_of_another_kind_is_refused_before_it_is_built() -> None:
    with pytest.raises(InputError, match="MultiheadAttention is not a AutoEncoder"):
        build({"_target_": "torch.nn.MultiheadAttention", "embed_dim": 10**9, "num_heads": 1}, AutoEncoder)


def test_the_module_of_a_class_counts_and_not_the_path_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Evil(nn.Module):
        def __init__(self) -> None:
            os.abort()

    monkeypatch.setattr("partae.sparsity.Evil", Evil, raising=False)
    with pytest.raises(InputError, match="refused"):
        build({"_target_": "partae.sparsity.Evil"}, nn.Module)
