from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import partae
from partae import AutoEncoder, dilation
from partae.checks import InputError
from partae.data import DataModule
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.files import run_folder
from partae.sparsity import KL, NoSparsity


@pytest.fixture
def model() -> AutoEncoder:
    return AutoEncoder(Dense((1, 4, 4), 3), Dictionary((1, 4, 4), 3), sparsity=KL(0.01, 0.1))


def checkpoint(model: AutoEncoder) -> dict[str, Any]:
    content: dict[str, Any] = {"state_dict": model.state_dict()}
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
        torch.testing.assert_close(loaded.reconstruct(images), model.reconstruct(images), rtol=0, atol=0)
        torch.testing.assert_close(loaded.atoms, model.atoms, rtol=0, atol=0)


def test_no_tensor_is_left_without_values(run: Path) -> None:
    loaded = partae.load(run)
    assert not any(tensor.is_meta for tensor in loaded.state_dict().values())


def test_run_folder_of_a_checkpoint(run: Path) -> None:
    assert run_folder(run / "checkpoints" / "last.ckpt") == run
    assert run_folder(run / "lonely.ckpt") == run


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ckpt=.*nowhere does not exist"):
        partae.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is a folder without a run"):
        partae.load(tmp_path)


def test_a_truncated_checkpoint_is_named(run: Path) -> None:
    file = run / "checkpoints" / "last.ckpt"
    for size in (0, 10, file.stat().st_size // 2, file.stat().st_size - 100):
        os.truncate(file, size)
        with pytest.raises(InputError, match=r"last\.ckpt"):
            partae.load(run)


def test_a_damaged_last_checkpoint_gives_way_to_another_of_the_run(model: AutoEncoder, run: Path) -> None:
    folder = run / "checkpoints"
    (folder / "best.ckpt").write_bytes((folder / "last.ckpt").read_bytes())
    os.truncate(folder / "last.ckpt", 1000)
    with pytest.warns(UserWarning, match=r"last\.ckpt is not a whole checkpoint.*; it is best\.ckpt that is loaded"):
        loaded = partae.load(run)
    assert torch.equal(loaded.atoms, model.atoms)
    with pytest.raises(InputError, match=r"last\.ckpt is not a whole"):  # which was asked for by name
        partae.load(folder / "last.ckpt")


@pytest.mark.parametrize("kind", [AutoEncoder, partae.model.Factorization, DataModule])
@pytest.mark.parametrize("path", ["hostile.ckpt", "http://127.0.0.1:9/hostile.ckpt", "file:///hostile.ckpt"])
def test_lightnings_own_way_to_load_is_closed(kind: Any, path: str) -> None:
    with pytest.raises(InputError, match="load_from_checkpoint may run what a file brings along"):
        kind.load_from_checkpoint(path, weights_only=False)


def test_a_remote_path_is_no_file(tmp_path: Path) -> None:
    for path in ("http://127.0.0.1:9/last.ckpt", "s3://bucket/last.ckpt"):
        with pytest.raises(InputError, match="does not exist"):
            partae.load(path)


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


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def old_format(content: object, file: Path) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    "save", [torch.save, old_format, lambda content, file: file.write_bytes(pickle.dumps(content))]
)
@pytest.mark.parametrize("place", ["extra", "model", "state_dict", "encoder"])
def test_a_hostile_pickle_is_refused_unrun(save: Any, place: str, tmp_path: Path, model: AutoEncoder) -> None:
    marker, file = tmp_path / "marker", tmp_path / "hostile.ckpt"
    content = checkpoint(model)
    (content["model"] if place == "encoder" else content)[place] = Payload(marker)
    save(content, file)
    with pytest.raises(InputError, match=r"hostile\.ckpt"):
        partae.load(file)
    assert not marker.exists()


def test_the_hostile_pickle_of_these_tests_is_one(tmp_path: Path) -> None:
    torch.save(Payload(tmp_path / "marker"), tmp_path / "hostile.ckpt")
    torch.load(tmp_path / "hostile.ckpt", weights_only=False)
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("content", [{}, [], 3, {"model": 3}, {"model": {}}, {"state_dict": {}}])
def test_foreign_files_are_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "foreign.ckpt")
    with pytest.raises(InputError, match=r"foreign\.ckpt"):
        partae.load(tmp_path / "foreign.ckpt")


def packed(run: Path) -> None:
    """The checkpoint again, its entries deflated, among them a billion zeros that take a megabyte."""
    file = run / "checkpoints" / "last.ckpt"
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        with archive.open("last/data/bomb", "w") as bomb:
            for _ in range(100):
                bomb.write(bytes(10**6))


def test_a_packed_file_is_refused_unread(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed(run)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(InputError, match=r"last\.ckpt would take more memory than its size"):
        partae.load(run)


class Stretched:
    """Pickles as a tensor of any size over four values."""

    def __init__(self, size: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.size, self.stride = size, stride

    def __reduce__(self) -> tuple[Any, ...]:
        storage = torch.zeros(4)._typed_storage()
        return torch._utils._rebuild_tensor_v2, (storage, 0, self.size, self.stride, False, OrderedDict())


@pytest.mark.parametrize("stride", [(0, 0, 0, 0), (1, 1, 1, 1)])
def test_a_tensor_larger_than_its_file_is_refused(stride: tuple[int, ...], model: AutoEncoder, tmp_path: Path) -> None:
    content = checkpoint(model)
    content["model"]["decoder"]["latent_dim"] = content["model"]["encoder"]["latent_dim"] = 10**9
    content["state_dict"] = dict(content["state_dict"])
    content["state_dict"]["decoder.atoms"] = Stretched((10**9, 1, 4, 4), stride)
    torch.save(content, tmp_path / "huge.ckpt")
    with pytest.raises(InputError, match=r"huge\.ckpt( is not a whole|: .*decoder\.atoms says to be larger)"):
        partae.load(tmp_path / "huge.ckpt")


@pytest.mark.parametrize(
    "other",
    [
        lambda atoms: atoms[:, :, :3],
        lambda atoms: atoms.flatten(),
        lambda atoms: atoms.half(),
        lambda atoms: atoms.long(),
        lambda atoms: atoms.to(torch.complex64),
        lambda atoms: atoms.to_sparse(),
        lambda atoms: atoms.to("meta"),
        lambda atoms: atoms * float("nan"),
        lambda atoms: atoms / 0,
        lambda atoms: atoms.tolist(),
    ],
)
def test_weights_of_another_shape_or_kind_are_refused(other: Any, model: AutoEncoder, tmp_path: Path) -> None:
    content = checkpoint(model)
    content["state_dict"] = dict(content["state_dict"])
    content["state_dict"]["decoder.atoms"] = other(model.atoms.detach())
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=r"other\.ckpt (does not fit what it says of itself|is not a whole)"):
        partae.load(tmp_path / "other.ckpt")


@pytest.mark.parametrize("missing", ["decoder.atoms", "sparsity.beta"])
def test_missing_and_unknown_weights_are_named(missing: str, model: AutoEncoder, tmp_path: Path) -> None:
    content = checkpoint(model)
    content["state_dict"] = {
        name.replace(missing, "decoder.payload"): tensor for name, tensor in content["state_dict"].items()
    }
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=rf"(?s)other\.ckpt.*{missing}.*decoder\.payload"):
        partae.load(tmp_path / "other.ckpt")


def test_a_flipped_bit_in_the_weights_is_noticed(run: Path) -> None:
    file = run / "checkpoints" / "last.ckpt"
    with zipfile.ZipFile(file) as archive:
        entry = next(entry for entry in archive.infolist() if entry.filename.endswith("/data/1"))
    content = bytearray(file.read_bytes())
    content[entry.header_offset + 200] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"last\.ckpt is not a whole checkpoint"):
        partae.load(run)


def test_weights_that_do_not_fit_are_refused_before_anything_is_allocated(model: AutoEncoder, tmp_path: Path) -> None:
    content = checkpoint(model)
    content["model"]["encoder"]["latent_dim"] = content["model"]["decoder"]["latent_dim"] = 10**12
    torch.save(content, tmp_path / "huge.ckpt")
    with pytest.raises(InputError, match=r"huge\.ckpt does not fit"):
        partae.load(tmp_path / "huge.ckpt")


@pytest.mark.parametrize(
    ("part", "spec"),
    [
        ("encoder", {"_target_": "torch.nn.Sigmoid"}),
        ("encoder", "x"),
        ("sparsity", {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2}),
        (
            "decoder",
            {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": 1, "groups": 2},
        ),
        ("sparsity", {"_target_": "partae.sparsity.KL", "beta": "much", "p": None}),
    ],
)
def test_made_up_parts_are_refused(part: str, spec: object, model: AutoEncoder, tmp_path: Path) -> None:
    content = checkpoint(model)
    content["model"][part] = spec
    torch.save(content, tmp_path / "made_up.ckpt")
    with pytest.raises(InputError, match=r"made_up\.ckpt does not fit what it says of itself"):
        partae.load(tmp_path / "made_up.ckpt")


def test_a_module_that_is_no_representation_is_refused(tmp_path: Path) -> None:
    torch.save(
        {"model": {"_target_": "torch.nn.modules.activation.Sigmoid"}, "state_dict": {}}, tmp_path / "other.ckpt"
    )
    with pytest.raises(InputError, match="Sigmoid is not a Representation"):
        partae.load(tmp_path / "other.ckpt")


def test_the_verbs_give_the_kind_of_array_that_they_take(run: Path) -> None:
    loaded = partae.load(run)
    images = torch.rand(5, 1, 4, 4)
    code = loaded.encode(images)
    for verb, given in (
        (loaded.encode, images),
        (loaded.decode, code),
        (loaded.reconstruct, images),
        (partial(loaded.max_approximation, operator=dilation(1)), images),
        (partial(loaded.max_approximation_of_code, operator=dilation(1)), code),
    ):
        expected = verb(given)
        assert isinstance(expected, torch.Tensor)
        # as numpy makes them: in double precision, and with rows that run backwards
        for array in (given.numpy(), given.double().numpy(), given.numpy()[:, ::-1][:, ::-1]):
            found = verb(array)
            assert isinstance(found, np.ndarray)
            np.testing.assert_array_equal(found, expected.numpy())
    assert np.asarray(loaded.atoms).shape == (3, 1, 4, 4)


def test_bytes_are_no_images(run: Path) -> None:
    with pytest.raises(InputError, match=r"encode needs images in \[0, 1\], of floats; got uint8"):
        partae.load(run).encode(np.full((1, 1, 4, 4), 255, dtype=np.uint8))
    with pytest.raises(InputError, match=r"encode needs images in \[0, 1\], of floats; got torch.uint8"):
        partae.load(run).max_approximation(torch.full((1, 1, 4, 4), 255, dtype=torch.uint8), dilation(1))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            255 * np.ones((2, 1, 4, 4), np.float32),
            r"encode needs images in \[0, 1\]; got values from 255 to 255: divide",
        ),
        (np.full((2, 1, 4, 4), -0.5), r"got values from -0\.5 to -0\.5"),
        (np.full((2, 1, 4, 4), np.nan), "got values from nan to nan"),
        (np.ones((2, 3, 4, 4)), r"encode needs images of shape \(B, 1, 4, 4\); got \(2, 3, 4, 4\)"),
        (np.ones((1, 4, 4)), r"encode needs images of shape \(B, 1, 4, 4\); got \(1, 4, 4\)"),
        (np.ones((2, 16)), r"encode needs images of shape \(B, 1, 4, 4\); got \(2, 16\)"),
    ],
)
def test_images_of_another_range_or_shape_are_refused_by_every_verb(
    run: Path, images: np.ndarray, message: str
) -> None:
    loaded = partae.load(run)
    given: Any
    for given in (images, torch.from_numpy(images)):
        for verb in (loaded.encode, loaded.reconstruct, partial(loaded.max_approximation, operator=dilation(1))):
            with pytest.raises(InputError, match=message):
                verb(given)
    rounded = np.full((1, 1, 4, 4), 1 + 1e-6)
    assert loaded.encode(rounded).shape == (1, 3)


@pytest.mark.parametrize("code", [np.ones((2, 4)), np.ones(3), np.ones((1, 1, 3))], ids=lambda code: str(code.shape))
def test_a_code_of_another_shape_is_refused(run: Path, code: np.ndarray) -> None:
    loaded = partae.load(run)
    for verb in (loaded.decode, partial(loaded.max_approximation_of_code, operator=dilation(1))):
        with pytest.raises(InputError, match=r"decode needs a code of shape \(B, 3\); got"):
            verb(code)
