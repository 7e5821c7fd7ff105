from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import partae
from partae import AutoEncoder
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.sparsity import KL, NoSparsity


@pytest.fixture
def model() -> AutoEncoder:
    return AutoEncoder(Dense((1, 4, 4), 3), Dictionary((1, 4, 4), 3), sparsity=KL(0.01, 0.1))


def checkpoint(model: AutoEncoder) -> dict[str, Any]:
    content: dict[str, Any] = {"state_dict": dict(model.state_dict())}
    model.on_save_checkpoint(content)
    return content


@pytest.fixture
def run(model: AutoEncoder, tmp_path: Path) -> Path:
    """A run folder with the checkpoint of `model`."""
    (tmp_path / "checkpoints").mkdir()
    torch.save(checkpoint(model), tmp_path / "checkpoints" / "last.ckpt")
    return tmp_path


def test_a_run_folder_and_its_checkpoint_give_the_model_back(model: AutoEncoder, run: Path) -> None:
    images = torch.rand(5, 1, 4, 4)
    for path in (run, str(run), run / "checkpoints" / "last.ckpt"):
        loaded = partae.load(path)
        assert not loaded.training
        assert not any(tensor.is_meta or tensor.requires_grad for tensor in loaded.state_dict().values())
        assert torch.equal(loaded.reconstruct(images), model.reconstruct(images))
        assert torch.equal(loaded.atoms, model.atoms)


def test_a_path_without_a_model_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", "http://127.0.0.1:9/last.ckpt", "s3://bucket/last.ckpt"):
        with pytest.raises(InputError, match=r"ckpt=.* does not exist"):
            partae.load(path)
    with pytest.raises(InputError, match="is a folder without a run"):
        partae.load(tmp_path)


def test_a_sweep_is_no_model_but_its_runs_are(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "sweep" / "one")
    with pytest.raises(InputError, match=rf"is the folder of a sweep: name one of its runs, as {tmp_path}/sweep/one"):
        partae.load(tmp_path / "sweep")


def test_a_truncated_last_checkpoint_gives_way_to_another_of_the_run(model: AutoEncoder, run: Path) -> None:
    folder = run / "checkpoints"
    (folder / "best.ckpt").write_bytes((folder / "last.ckpt").read_bytes())
    os.truncate(folder / "last.ckpt", 1000)
    with pytest.warns(UserWarning, match=r"last\.ckpt is missing or truncated: best\.ckpt is loaded instead"):
        loaded = partae.load(run)
    assert torch.equal(loaded.atoms, model.atoms)
    with pytest.raises(InputError, match=r"last\.ckpt is not a whole"):  # asked for by name
        partae.load(folder / "last.ckpt")


class Entropy(KL):
    """A penalty that partae does not know."""


def test_a_model_with_a_penalty_of_the_users_own_loads_without_it(model: AutoEncoder, tmp_path: Path) -> None:
    own = AutoEncoder(model.encoder, model.decoder, sparsity=Entropy())
    torch.save(checkpoint(own), tmp_path / "own.ckpt")
    loaded = partae.load(tmp_path / "own.ckpt")
    images = torch.rand(5, 1, 4, 4)
    assert torch.equal(loaded.encode(images), model.encode(images))
    assert isinstance(loaded.sparsity, NoSparsity)


def test_an_encoder_of_the_users_own_is_refused(model: AutoEncoder, tmp_path: Path) -> None:
    class Own(Dense):
        pass

    torch.save(checkpoint(AutoEncoder(Own((1, 4, 4), 3), model.decoder)), tmp_path / "own.ckpt")
    with pytest.raises(InputError, match="Own' is neither a module of partae"):
        partae.load(tmp_path / "own.ckpt")


Change = Callable[[dict[str, Any]], object]  # of a checkpoint, in place


def with_atoms(change: Callable[[Tensor], object]) -> Change:
    def apply(content: dict[str, Any]) -> None:
        content["state_dict"]["decoder.atoms"] = change(content["state_dict"]["decoder.atoms"])

    return apply


def with_group(group: str, spec: object) -> Change:
    return lambda content: content["model"].update({group: spec})


CONV = {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": 1, "groups": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_atoms(lambda atoms: atoms[:, :, :3]), "size mismatch for decoder.atoms"),
        (with_atoms(lambda atoms: atoms.half()), r"decoder\.atoms must be torch\.float32; got torch\.float16"),
        (with_atoms(lambda atoms: atoms.long()), r"decoder\.atoms must be torch\.float32; got torch\.int64"),
        (
            with_atoms(lambda atoms: atoms * float("nan")),
            r"decoder\.atoms has values that are infinite or not a number",
        ),
        (with_atoms(lambda atoms: atoms / 0), r"decoder\.atoms has values that are infinite or not a number"),
        (with_atoms(lambda atoms: atoms.tolist()), ""),
        (lambda content: content["state_dict"].pop("sparsity.beta"), "Missing key.*sparsity.beta"),
        (lambda content: content["state_dict"].update(payload=torch.ones(1)), "Unexpected key.*payload"),
        (lambda content: content.update(state_dict={}, model={}), "None is neither a module of partae"),
        (lambda content: content.update(model={"_target_": "torch.nn.Sigmoid"}), "Sigmoid is not a Representation"),
        (with_group("encoder", {"_target_": "torch.nn.Sigmoid"}), ""),
        (with_group("encoder", {"latent_dim": 3}), ""),
        (with_group("decoder", CONV), "Conv2d' is neither a module of partae"),
        (with_group("sparsity", {"_target_": "partae.sparsity.KL", "beta": "much"}), "sparsity.beta must be a number"),
    ],
)
def test_a_checkpoint_that_does_not_fit_what_it_says_is_refused(
    change: Change, message: str, model: AutoEncoder, tmp_path: Path
) -> None:
    content = checkpoint(model)
    change(content)
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=rf"(?s)other\.ckpt does not fit what it says of itself.*{message}"):
        partae.load(tmp_path / "other.ckpt")


def test_weights_that_do_not_fit_are_refused_before_anything_is_allocated(model: AutoEncoder, tmp_path: Path) -> None:
    content = checkpoint(model)
    content["model"]["encoder"]["latent_dim"] = content["model"]["decoder"]["latent_dim"] = 10**12
    torch.save(content, tmp_path / "huge.ckpt")
    with pytest.raises(InputError, match=r"huge\.ckpt does not fit"):
        partae.load(tmp_path / "huge.ckpt")


def test_weights_in_double_precision_are_rounded(model: AutoEncoder, tmp_path: Path) -> None:
    torch.save(checkpoint(model.double()), tmp_path / "double.ckpt")
    assert torch.equal(partae.load(tmp_path / "double.ckpt").atoms, model.atoms.float())
