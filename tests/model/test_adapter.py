"""Modules of other libraries as models, written to a file and read from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import partae
from partae.checks import InputError
from partae.model import adapt
from partae.saving import export
from partae.sweep.evaluation import evaluate
from tests.conftest import Compose
from tests.docs.shown import ROOT, blocks

BARS = ["data=bars", "data.source.train_size=100", "data.source.test_size=20", "data.val_size=20", "quiet=true"]
PAGE = ROOT / "docs" / "extending.md"


class Linear(nn.Module):
    """Codes by a ReLU, and decodes by atoms and a bias, or by another function of these."""

    def __init__(self, pixels: int, latent_dim: int, bends: bool = False) -> None:
        super().__init__()
        self.pixels, self.latent_dim, self.bends = pixels, latent_dim, bends
        self.encoder, self.decoder = nn.Linear(pixels, latent_dim), nn.Linear(latent_dim, pixels)

    def encode(self, images: Tensor) -> Tensor:
        return self.encoder(images).relu()

    def decode(self, code: Tensor) -> Tensor:
        decoded = self.decoder(code)
        return decoded.sigmoid() if self.bends else decoded


def test_it_answers_as_the_module_does(tmp_path: Path) -> None:
    images = torch.rand(200, 1, 5, 5)
    module = Linear(25, 6)
    file = export(adapt(module, images), "safetensors", tmp_path)
    assert file
    with pytest.raises(InputError, match=r"If you trust the code of tests: partae.load\(path, trust=\['tests'\]\)"):
        partae.load(file)
    model = partae.load(file, trust=["tests"])
    code = module.encode(images.flatten(1))
    torch.testing.assert_close(model.encode(images), code)
    torch.testing.assert_close(model.reconstruct(images).flatten(1), module.decode(code), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.atoms.flatten(1), module.decoder.weight.T, atol=1e-6, rtol=1e-5)


class Pair(Linear):
    """Codes as the library overcomplete does: by what was before the activation, and the code."""

    def encode(self, images: Tensor) -> Any:
        return self.encoder(images), super().encode(images)


def test_a_module_that_does_not_code_or_decode_by_atoms_is_refused() -> None:
    with pytest.raises(InputError, match=r"encode of Pair must give a code \(B, K\); got a tuple"):
        adapt(Pair(25, 6), torch.rand(200, 1, 5, 5))
    with pytest.raises(InputError, match=r"Linear cannot be a model of partae: .* its inverse_transform is not linear"):
        adapt(Linear(25, 6, bends=True), torch.rand(200, 1, 5, 5))


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_the_module_of_the_docs_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, composed: Compose) -> None:
    from torchnmf.nmf import NMF

    of_class, of_export = (block for block in blocks(PAGE, "python") if "Parts" in block)
    (tmp_path / "my_package.py").write_text(of_class)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    images = torch.rand(60, 1, 8, 8)
    trained = NMF(images.flatten(1).shape, rank=5)
    trained.fit(images.flatten(1), beta=2, max_iter=20)
    torch.save({"nmf.W": trained.W.detach()}, "parts.pt")
    names: dict[str, Any] = {"images": images}
    try:
        text = of_export.replace("784", "64").replace("=25", "=5")
        exec(compile(text, str(PAGE), "exec"), names)
        options = ["ckpt=outputs/parts/model.safetensors", "trust=[my_package]", *BARS]
        (found,) = evaluate(composed(*options, config="evaluate")).measures.values()
    finally:
        sys.modules.pop("my_package", None)
    assert 0 < found["test/reconstruction_error"] < 0.2
