"""Classes of a user's own come back where the caller trusts their package, and are not even imported elsewhere."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import partae
from partae import AutoEncoder
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.saving.specification import build

PACKAGE = """
import math
from os import system
from pathlib import Path

import torch
from torch import nn

from partae.decoder import Decoder
from partae.encoder import Encoder

Path(__file__).with_name("imported").touch()


class Threshold(nn.Module):
    def __init__(self, threshold: float = 0.1) -> None:
        super().__init__()
        self.threshold = threshold
        self.unsaved = torch.ones(1)  # a value that no checkpoint holds

    def forward(self, inputs):
        return torch.relu(inputs - self.threshold * self.unsaved)


class Shallow(Encoder):  # takes no activation
    def __init__(self, image_shape, latent_dim, gate: nn.Module | None = None) -> None:
        super().__init__(image_shape, nn.Sequential(nn.Flatten()), math.prod(image_shape), latent_dim, "sigmoid")
        self.gate = gate or nn.Identity()

    def forward(self, images, atoms=None):
        return self.gate(super().forward(images))


class Plain(nn.Module):  # has nothing of ours
    def __init__(self, image_shape, latent_dim) -> None:
        super().__init__()
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.layer = nn.Linear(math.prod(image_shape), latent_dim)

    def forward(self, images, atoms):
        return self.layer(images.flatten(1))


class Doubled(Decoder):
    def __init__(self, image_shape, latent_dim) -> None:
        super().__init__()
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.atoms = nn.Parameter(torch.rand(latent_dim, *image_shape))
        self.bias = nn.Parameter(torch.zeros(*image_shape))

    def decode(self, code, atoms=None, bias=None):
        return 2 * torch.einsum("bk,kchw->bchw", code, self.atoms if atoms is None else atoms) + self.bias


def no_class(command):
    system(command)
"""
SHAPE = ((1, 4, 4), 3)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A package of a user's own, imported."""
    (tmp_path / "own_parts.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("own_parts")
    sys.modules.pop("own_parts", None)


def forget(folder: Path) -> Path:
    """Make this process one that has not imported the package; the file that its import would write."""
    sys.modules.pop("own_parts", None)
    (folder / "imported").unlink()
    return folder / "imported"


def models(own: Any) -> dict[str, AutoEncoder]:
    return {
        "activation": AutoEncoder(Dense(*SHAPE, own.Threshold(0.2)), Dictionary(*SHAPE)),
        "encoder": AutoEncoder(own.Shallow(*SHAPE), Dictionary(*SHAPE)),
        "encoder with a module of its own": AutoEncoder(own.Shallow(*SHAPE, own.Threshold()), Dictionary(*SHAPE)),
        "plain encoder": AutoEncoder(own.Plain(*SHAPE), Dictionary(*SHAPE)),
        "decoder": AutoEncoder(Dense(*SHAPE), own.Doubled(*SHAPE)),
    }


def test_a_class_of_the_users_own_comes_back_if_its_package_is_trusted(own: Any, tmp_path: Path) -> None:
    images = torch.rand(5, 1, 4, 4)
    for name, model in models(own).items():
        content: dict[str, Any] = {"state_dict": dict(model.state_dict())}
        model.on_save_checkpoint(content)
        torch.save(content, tmp_path / "own.ckpt")
        imported = forget(tmp_path)
        for untrusted in ([], ["own"], ["own_parts_evil"], ["own_parts.deeper"]):
            advice = re.escape("partae.load(path, trust=['own_parts']), evaluate.py trust=[own_parts]")
            with pytest.raises(InputError, match=advice):
                partae.load(tmp_path / "own.ckpt", untrusted)
            assert not imported.exists(), name
        for trust in (["own_parts"], "own_parts"):
            loaded = partae.load(tmp_path / "own.ckpt", trust)
            assert torch.equal(loaded.reconstruct(images), model.eval().reconstruct(images)), name


@pytest.mark.parametrize(
    "target",
    ["own_parts.no_class", "own_parts.system", "own_parts.nn.Sequential", "own_parts.Missing", "own_parts.nowhere.A"],
)
def test_of_a_trusted_package_nothing_but_its_own_modules_is_built(own: Any, target: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"refused\. own_parts is trusted, but Python finds no such module there"):
        build({"_target_": target, "command": f"touch {tmp_path}/marker"}, nn.Module, ["own_parts"])
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "partae.files.os.system", "torch.hub.load"])
def test_nobody_is_advised_to_trust_what_holds_no_class_of_a_users_own(target: str) -> None:
    with pytest.raises(InputError, match=r"the file is refused$"):
        build({"_target_": target}, nn.Module, ["own_parts"])
