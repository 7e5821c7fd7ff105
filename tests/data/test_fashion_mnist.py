from __future__ import annotations

import gzip
import shutil
import socket
from pathlib import Path

import pytest
import torch

from partae.checks import InputError
from partae.data import FashionMNIST, fashion_mnist, idx

NAME = "train-images-idx3-ubyte"


@pytest.fixture
def elsewhere(garments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system folder with the four files packed, while the data folder is empty."""
    folder = tmp_path / "system"
    folder.mkdir()
    for file in (garments / "FashionMNIST" / "raw").iterdir():
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    shutil.rmtree(garments)
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", folder)
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network answers no name, and there is no apt."""

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(shutil, "which", lambda _: None)


def test_loads_images_and_labels(garments: Path) -> None:
    images, labels = FashionMNIST(garments).load("test")
    assert images.shape == (120, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.tolist() == [index % 10 for index in range(120)]


def test_the_system_copy_is_unpacked_into_the_data_folder(elsewhere: Path, tmp_path: Path) -> None:
    source = FashionMNIST(tmp_path / "data")
    source.prepare()
    assert sorted(file.name for file in source.folder.iterdir()) == sorted(fashion_mnist.CHECKSUMS)
    assert len(source.load("train")[0]) == 400


def test_packed_files_in_the_data_folder_are_taken(elsewhere: Path, tmp_path: Path) -> None:
    source = FashionMNIST(tmp_path / "data", download=False)
    shutil.copytree(elsewhere, source.folder)
    shutil.rmtree(elsewhere)
    source.prepare()
    assert len(source.load("train")[0]) == 400


def test_a_missing_file_alone_is_fetched(elsewhere: Path, tmp_path: Path) -> None:
    source = FashionMNIST(tmp_path / "data")
    source.prepare()
    times = {file: file.stat().st_mtime_ns for file in source.folder.iterdir()}
    (source.folder / NAME).unlink()
    source.prepare()
    kept = [file for file in source.folder.iterdir() if file.name != NAME]
    assert all(file.stat().st_mtime_ns == times[file] for file in kept)
    source.load("train")


@pytest.mark.parametrize("damage", ["flipped", "truncated", "swapped"])
def test_a_damaged_file_is_named_and_left_as_it_is(damage: str, garments: Path) -> None:
    file = garments / "FashionMNIST" / "raw" / NAME
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[1000] ^= 1
    elif damage == "truncated":
        del content[-1:]
    else:
        content = bytearray((file.parent / "t10k-images-idx3-ubyte").read_bytes())
    file.write_bytes(content)
    source = FashionMNIST(garments)
    source.prepare()
    with pytest.raises(InputError, match=rf"{NAME} is truncated or altered.*delete it and run again"):
        source.load("train")
    assert file.read_bytes() == content


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b broken", gzip.compress(b"else")], ids=["empty", "broken", "else"])
def test_a_damaged_system_copy_is_named_and_never_used(damage: bytes, elsewhere: Path, tmp_path: Path) -> None:
    (elsewhere / f"{NAME}.gz").write_bytes(damage)
    source = FashionMNIST(tmp_path / "data")
    with pytest.raises(InputError, match=rf"{NAME}\.gz is truncated or altered.*reinstall the package"):
        source.prepare()
    assert not (source.folder / NAME).exists()


def test_torchvisions_old_pickles_are_not_read(garments: Path) -> None:
    processed = garments / "FashionMNIST" / "processed"
    processed.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(7, 28, 28), torch.zeros(7)), processed / name)
    assert len(FashionMNIST(garments).load("train")[0]) == 400


def test_with_no_place_left_one_message_tells_what_was_tried(
    garments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", tmp_path / "nowhere")
    with pytest.raises(InputError) as error:
        FashionMNIST(tmp_path / "empty").prepare()
    message = str(error.value)
    for part in ("data.source.root", "nowhere", "torchvision's download", "apt-get", "dataset-fashion-mnist"):
        assert part in message


def test_download_false_asks_nobody(garments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", tmp_path / "nowhere")
    monkeypatch.setattr(idx, "downloaded", lambda *_: pytest.fail("asked"))
    monkeypatch.setattr(fashion_mnist, "debian_package", lambda *_: pytest.fail("asked"))
    with pytest.raises(InputError, match=r"data\.source\.download=false"):
        FashionMNIST(tmp_path / "empty", download=False).prepare()


def test_a_folder_that_cannot_be_written_is_named(elsewhere: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"data\.source\.root=.*data cannot be written"):
        FashionMNIST(tmp_path / "data").prepare()
