"""Checkpoints that are damaged, foreign or hostile, and the one of several from which a run is resumed."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import partae
from partae import AutoEncoder
from partae.checks import InputError
from partae.data import DataModule
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.saving.checkpoints import WholeCheckpoints, check_state, latest, make_last, read


def content(step: int = 1) -> dict[str, Any]:
    """The least that a run can be resumed from, with a model that can be loaded."""
    model = AutoEncoder(Dense((1, 4, 4), 3), Dictionary((1, 4, 4), 3))
    found: dict[str, Any] = {"state_dict": dict(model.state_dict()), "optimizer_states": [], "lr_schedulers": []}
    found |= {"callbacks": {}, "loops": {}, "measures": {}, "random": {}, "seconds": 1.0}
    model.on_save_checkpoint(found)
    return {**found, "global_step": step, "epoch": step}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The last checkpoint of a run."""
    path = tmp_path / "checkpoints" / "last.ckpt"
    WholeCheckpoints().save_checkpoint(content(), path)
    return path


def test_what_is_written_is_read(file: Path) -> None:
    expected, found = content(), read(file)
    assert found.keys() == expected.keys()
    assert found["model"] == expected["model"]
    assert WholeCheckpoints().load_checkpoint(file).keys() == expected.keys()


def test_a_truncated_checkpoint_is_refused(file: Path) -> None:
    for size in (file.stat().st_size - 100, file.stat().st_size // 2, 10, 0):
        os.truncate(file, size)
        with pytest.raises(InputError, match=r"last\.ckpt is not a whole checkpoint"):
            read(file)


def test_a_flipped_bit_in_the_weights_is_noticed(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        entry = next(entry for entry in archive.infolist() if entry.filename.endswith("/data/1"))
    changed = bytearray(file.read_bytes())
    changed[entry.header_offset + 200] ^= 1
    file.write_bytes(changed)
    with pytest.raises(InputError, match=r"last\.ckpt is not a whole checkpoint"):
        read(file)


@pytest.mark.parametrize("foreign", [{}, [], 3, {"model": 3}, {"state_dict": {}}])
def test_foreign_files_are_refused(foreign: object, file: Path) -> None:
    torch.save(foreign, file)
    with pytest.raises(InputError, match=r"last\.ckpt is not a checkpoint of partae"):
        read(file)


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def save_in_old_format(content: object, file: Path) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


def save_without_torch(content: object, file: Path) -> None:
    file.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("save", [torch.save, save_in_old_format, save_without_torch])
@pytest.mark.parametrize("place", ["extra", "model", "state_dict", "encoder"])
def test_a_hostile_pickle_is_refused_and_not_run(save: Callable[..., None], place: str, file: Path) -> None:
    marker, hostile = file.with_name("marker"), content()
    (hostile["model"] if place == "encoder" else hostile)[place] = Payload(marker)
    save(hostile, file)
    for reader in (read, partae.load, lambda path: WholeCheckpoints().load_checkpoint(path, weights_only=False)):
        with pytest.raises(InputError, match=r"last\.ckpt (is refused: it holds more than weights|is not a whole)"):
            reader(file)
    with pytest.warns(UserWarning, match="the run is resumed from another checkpoint, or starts anew"):
        assert latest(file.parent.parent) is None
    assert not marker.exists()


def test_the_hostile_pickle_of_these_tests_is_one(tmp_path: Path) -> None:
    torch.save(Payload(tmp_path / "marker"), tmp_path / "hostile.ckpt")
    torch.load(tmp_path / "hostile.ckpt", weights_only=False)
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("kind", [AutoEncoder, partae.model.Factorization, DataModule])
@pytest.mark.parametrize("path", ["hostile.ckpt", "http://127.0.0.1:9/hostile.ckpt"])
def test_lightnings_own_way_to_load_is_closed(kind: Any, path: str) -> None:
    with pytest.raises(InputError, match=r"load_from_checkpoint"):
        kind.load_from_checkpoint(path, weights_only=False)


def test_a_packed_file_is_refused_unread(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)
        with archive.open("last/data/bomb", "w") as bomb:  # 100 MB of zeros, packed into half a megabyte
            for _ in range(100):
                bomb.write(bytes(10**6))
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda _: pytest.fail("unpacked"))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("read"))
    with pytest.raises(InputError, match=r"last\.ckpt is refused: it would unpack to more than its size"):
        read(file)


class Stretched:
    """Pickles as a tensor of 16 billion values over four values."""

    def __init__(self, stride: tuple[int, ...]) -> None:
        self.stride = stride

    def __reduce__(self) -> tuple[Any, ...]:
        storage = torch.zeros(4)._typed_storage()
        return torch._utils._rebuild_tensor_v2, (storage, 0, (10**9, 1, 4, 4), self.stride, False, OrderedDict())


@pytest.mark.parametrize("place", ["state_dict", "optimizer_states"])
@pytest.mark.parametrize(
    "tensor",
    [
        Stretched((0, 0, 0, 0)),
        Stretched((1, 1, 1, 1)),
        torch.zeros(1).expand(20_000, 20_000),
        torch.zeros(20_000, 20_000, device="meta"),
        torch.ones(1, 1).to_sparse(),
    ],
    ids=["strides of 0", "strides of 1", "expanded", "meta", "sparse"],
)
def test_a_tensor_larger_than_its_file_is_refused(tensor: object, place: str, file: Path) -> None:
    hostile = content()
    hostile[place] = {"decoder.atoms": tensor} if place == "state_dict" else [{"state": {0: {"exp_avg": tensor}}}]
    torch.save(hostile, file)
    with pytest.raises(InputError, match=r"last\.ckpt is (refused: it does not hold every value|not a whole)"):
        read(file)


def test_a_list_that_holds_itself_has_an_end(file: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    torch.save({**content(), "endless": endless}, file)
    assert read(file)["epoch"] == 1


@pytest.mark.parametrize("name", ["seconds", "global_step", "epoch", "measures", "state_dict", "loops"])
def test_a_checkpoint_without_what_a_training_needs_is_passed_over(name: str, file: Path) -> None:
    torch.save({key: value for key, value in content().items() if key != name}, file)
    with pytest.warns(UserWarning, match=rf"last\.ckpt has no {name}, which a training needs to be resumed"):
        assert latest(file.parent.parent) is None


@pytest.mark.filterwarnings("ignore:.*is not a whole checkpoint")
def test_a_run_goes_on_from_its_last_whole_checkpoint(file: Path) -> None:
    run, others = file.parent.parent, [file.with_name("best.ckpt"), file.with_name("other.ckpt")]
    for step, other in enumerate(others, start=5):
        WholeCheckpoints().save_checkpoint(content(step), other)
        os.utime(other, (step, step))
    for path in (file, *reversed(others)):  # of the others, the newest first
        found = latest(run)
        assert found is not None
        assert found[0] == path
        os.truncate(path, 1000)
    assert latest(run) is None


def test_the_last_checkpoint_is_put_in_its_place(file: Path) -> None:
    best, half = file.with_name("best.ckpt"), file.with_name(".last.ckpt.x.ckpt")
    best.write_bytes(b"best")
    half.write_bytes(b"half")
    make_last(best)
    assert {path.name: path.read_bytes() for path in file.parent.iterdir()} == {
        "best.ckpt": b"best",
        "last.ckpt": b"best",
    }


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD, torch.optim.Adafactor, torch.optim.NAdam])
def test_the_state_of_an_optimizer_fits_its_parameters(optimizer: Any) -> None:
    weights = torch.nn.Parameter(torch.ones(3, 2))
    one = optimizer([weights], **({"momentum": 0.9} if optimizer is torch.optim.SGD else {}))
    weights.grad = torch.ones(3, 2)
    one.step()
    check_state(one)
    for name, value in one.state[weights].items():
        if value.shape == weights.shape:
            for wrong in (torch.zeros(1), torch.zeros(()), torch.zeros(3, 2).double()):
                one.state[weights][name] = wrong
                with pytest.raises(InputError, match=f"an optimizer whose {name} fits no parameter of this run"):
                    check_state(one, "last.ckpt")
            one.state[weights][name] = value
