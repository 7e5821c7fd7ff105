from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import partae
from partae import AutoEncoder
from partae.activation import BatchTopK, JumpReLU, TopK
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import Dense, MatchingPursuit
from partae.model import Factorization, LeastSquares
from partae.representation import Representation
from partae.saving.exporting import digest, export
from partae.saving.specification import describe
from partae.sparsity import KL
from tests.test_representation import TwoSquares


def model(*, tied: bool = False) -> AutoEncoder:
    hidden = () if tied else (8,)
    return AutoEncoder(
        Dense((1, 4, 4), 3, hidden=hidden, tied=tied), Dictionary((1, 4, 4), 3), sparsity=KL(0.01, 0.1)
    ).eval()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An export of `model` to safetensors."""
    found = export(model(), "safetensors", tmp_path)
    assert found is not None
    return found


def test_safetensors_give_the_model_back(tmp_path: Path) -> None:
    shape: Any = np.array([1, 4, 4])
    three: Any = np.int64(3)  # numbers of NumPy are written too
    half: Any = np.float32(0.5)
    encoder, decoder = Dense(shape, three, hidden=[three]), Dictionary(shape, three, initial_bias=half)
    original = AutoEncoder(encoder, decoder, sparsity=KL(half, half)).eval()
    original.gains = {"dilation:1": 0.5}
    loaded = partae.load(str(export(original, "safetensors", tmp_path)))
    images = torch.rand(5, 1, 4, 4)
    assert isinstance(loaded, AutoEncoder)
    assert not loaded.training
    assert loaded.gains == original.gains
    assert describe(loaded) == describe(original)
    assert torch.equal(loaded.reconstruct(images), original.reconstruct(images))


def test_nothing_is_written_by_default(tmp_path: Path) -> None:
    assert export(model(), "none", tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_safetensors_file_that_is_cut_short_or_foreign_is_refused(file: Path) -> None:
    content = file.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"model\.safetensors is not a whole safetensors file"):
            partae.load(file)
    for metadata in (None, {"partae": "[]"}, {"partae": "null"}, {"partae": '{"model": {}, "more": 1}'}):
        save_file({"atoms": torch.zeros(1)}, file, metadata)
        with pytest.raises(InputError, match=r"model\.safetensors is not an export of partae"):
            partae.load(file)


def test_a_safetensors_file_is_the_same_each_time_and_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    one = model()
    file = tmp_path / "model.safetensors"
    export(one, "safetensors", tmp_path)
    content = file.read_bytes()
    export(one, "safetensors", tmp_path)
    assert file.read_bytes() == content
    for place in np.random.default_rng(0).integers(0, 8 * len(content), 300).tolist():
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        file.write_bytes(flipped)
        with pytest.raises(InputError, match=r"model\.safetensors"):
            partae.load(file)


def test_a_file_without_gains_is_read_as_version_0_1_wrote_it(file: Path) -> None:
    with safe_open(file, framework="pt") as opened:
        weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        header = json.loads(opened.metadata()["partae"])
    del header["gains"]
    save_file(weights, file, {"partae": json.dumps(header)})
    assert partae.load(file).gains == {}


def test_a_hostile_specification_in_safetensors_is_refused(file: Path) -> None:
    marker, weights = file.with_name("marker"), {"atoms": torch.zeros(1)}
    hostile = {"_target_": "os.system", "command": f"touch {marker}"}
    header = {"model": hostile, "sha256": digest(weights, hostile, {})}
    save_file(weights, file, {"partae": json.dumps(header)})
    with pytest.raises(InputError, match=r"os\.system"):
        partae.load(file)
    assert not marker.exists()


def silent_model() -> AutoEncoder:
    """Its code is 0, and is divided by its size."""
    found = AutoEncoder(Dense((1, 4, 4), 3, "normalised_relu"), Dictionary((1, 4, 4), 3)).eval()
    torch.nn.init.constant_(found.encoder.last.bias, -9.0)
    return found


def exact_model(encoder: torch.nn.Module) -> AutoEncoder:
    """Its code has zeros; it has been trained for a batch."""
    found = AutoEncoder(encoder, Dictionary((1, 4, 4), 3, biased=False))
    found.losses(torch.rand(20, 1, 4, 4))
    return found.eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        model,
        lambda: model(tied=True),
        lambda: Factorization(LeastSquares(), Dictionary((1, 4, 4), 3, "identity")).eval(),
        silent_model,
        lambda: exact_model(Dense((1, 4, 4), 3, TopK(2))),
        lambda: exact_model(Dense((1, 4, 4), 3, BatchTopK(2))),
        lambda: exact_model(Dense((1, 4, 4), 3, JumpReLU(3))),
        lambda: exact_model(MatchingPursuit(2)),
    ],
    ids=["hidden", "tied", "least squares", "normalised", "top k", "batch top k", "jump relu", "matching pursuit"],
)
def test_onnxruntime_encodes_as_the_model_does(tmp_path: Path, build: Callable[[], Representation]) -> None:
    original = build()
    session = onnxruntime.InferenceSession(str(export(original, "onnx", tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.onnx"]
    for batch in (1, 7):
        images = np.random.default_rng(batch).random((batch, 1, 4, 4), dtype=np.float32)
        (code,) = session.run(["code"], {"images": images})
        np.testing.assert_allclose(code, original.encode(images), rtol=1e-4, atol=1e-5)
    assert not isinstance(original, Factorization) or isinstance(original.encoder, LeastSquares)


@pytest.mark.slow
def test_an_encoder_without_an_onnx_form_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Searching(TwoSquares):
        """Its code depends on the values of the images, as that of an iteration does."""

        def _encode(self, images: torch.Tensor) -> torch.Tensor:
            while images.sum() > 1:
                images = images / 2
            return super()._encode(images)

    with pytest.raises(InputError, match="export=onnx: the encoder of a Searching has no ONNX form"):
        export(Searching(), "onnx", tmp_path)
    assert capfd.readouterr() == ("", ""), "nothing of torch's stands around the message"
    assert not list(tmp_path.iterdir())
