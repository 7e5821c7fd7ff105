from __future__ import annotations

import gzip
import hashlib
import multiprocessing
import shutil
import socket
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from partae.checks import InputError
from partae.data import EMNIST, KMNIST, MNIST, FashionMNIST, fetching, mnist, torchvision
from tests.conftest import idx

COUNTS = {"train": 30, "test": 12}
NAME = "train-images-idx3-ubyte"


def fill(source: MNIST, packed: bool = False) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write small files of a data set to where ``source`` looks for them, and return their arrays."""
    generator = np.random.default_rng(0)
    source.folder.mkdir(parents=True)
    arrays = {}
    for split, count in COUNTS.items():
        first = 1 if getattr(source, "selection", "") == "letters" else 0
        arrays[split] = generator.integers(0, 256, (count, 28, 28)), np.arange(count) % len(source.classes) + first
        for file, array in zip(source.files(split), arrays[split], strict=True):
            if packed:
                file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                file.write_bytes(idx(array))
    return arrays


@pytest.fixture(autouse=True)
def small_sets_and_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MNIST, "counts", COUNTS)
    monkeypatch.setattr(mnist, "SIZES", dict.fromkeys(mnist.SIZES, (30, 12)))
    monkeypatch.setattr(FashionMNIST, "system_folders", (Path("/nowhere"),))
    monkeypatch.setattr(torchvision, "getproxies", dict)

    def refuse(*_: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.fixture
def kmnist(tmp_path: Path) -> KMNIST:
    source = KMNIST(tmp_path, download=False)
    fill(source)
    return source


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system's folder with the packed files of Fashion-MNIST, as Debian's package installs them."""
    source = FashionMNIST(tmp_path / "elsewhere")
    fill(source, packed=True)
    files = {file.stem: gzip.decompress(file.read_bytes()) for file in source.folder.iterdir()}
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(FashionMNIST, "checksums", checksums)
    monkeypatch.setattr(FashionMNIST, "system_folders", (source.folder,))
    return source.folder


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [MNIST, KMNIST, EMNIST])
def test_files_in_torchvisions_layout_are_read(kind: type[MNIST], packed: bool, tmp_path: Path) -> None:
    source = kind(tmp_path, download=False)
    arrays = fill(source, packed)
    source.prepare()
    for split, (pixels, labels) in arrays.items():
        images, found = source.load(split)
        assert images.dtype == torch.uint8
        np.testing.assert_array_equal(images[:, 0], pixels.transpose(0, 2, 1) if kind is EMNIST else pixels)
        np.testing.assert_array_equal(found, labels)
    # and torchvision finds them there
    arguments = {"split": "balanced"} if kind is EMNIST else {}
    np.testing.assert_array_equal(source.kind(tmp_path, train=False, **arguments).data, arrays["test"][0])


@pytest.mark.parametrize(("selection", "count"), [("byclass", 62), ("bymerge", 47), ("letters", 26), ("digits", 10)])
def test_each_selection_of_emnist_has_its_classes(selection: str, count: int, tmp_path: Path) -> None:
    source = EMNIST(tmp_path, download=False, selection=selection)
    fill(source)
    assert len(source.classes) == count
    assert source.load("test")[1].tolist() == [index % count for index in range(12)]


def test_an_unknown_selection_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.source\.selection must be one of byclass"):
        EMNIST(selection="greek")


def truncate(folder: Path) -> None:
    (folder / NAME).write_bytes((folder / NAME).read_bytes()[:-1])


def swap_sets(folder: Path) -> None:
    train, test = folder / NAME, folder / "t10k-images-idx3-ubyte"
    train.rename(folder / "train")
    test.rename(train)
    (folder / "train").rename(test)


def swap_kinds(folder: Path) -> None:
    shutil.copy(folder / "train-labels-idx1-ubyte", folder / NAME)


@pytest.mark.parametrize("damage", [truncate, swap_sets, swap_kinds, lambda folder: (folder / NAME).write_bytes(b"")])
def test_a_file_that_is_not_whole_is_named_and_kept(damage: Callable[[Path], object], kmnist: KMNIST) -> None:
    damage(kmnist.folder)
    before = (kmnist.folder / NAME).read_bytes()
    kmnist.prepare()
    with pytest.raises(InputError, match=rf"{NAME} is truncated, altered or another set's"):
        kmnist.load("train")
    assert (kmnist.folder / NAME).read_bytes() == before


def test_a_missing_file_alone_is_copied_from_the_system(system: Path, tmp_path: Path) -> None:
    source = FashionMNIST(tmp_path / "data", download=False)
    source.prepare()
    times = {file: file.stat().st_mtime_ns for file in source.folder.iterdir()}
    assert len(times) == 4
    (source.folder / NAME).unlink()
    source.prepare()
    assert all(file.stat().st_mtime_ns == times[file] for file in times if file.name != NAME)
    assert len(source.load("train")[0]) == 30


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b broken", gzip.compress(b"else")], ids=["empty", "broken", "else"])
def test_a_damaged_file_never_enters_the_data_folder(damage: bytes, system: Path, tmp_path: Path) -> None:
    (system / f"{NAME}.gz").write_bytes(damage)
    source = FashionMNIST(tmp_path / "data")
    with pytest.raises(InputError, match=rf"{NAME}\.gz (cannot be read|is damaged).* replace or delete it"):
        source.prepare()
    assert not (source.folder / NAME).exists()


def test_a_folder_that_cannot_be_written_is_named(system: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"data\.source\.root=.*data cannot be written"):
        FashionMNIST(tmp_path / "data").prepare()


def test_torchvision_downloads_what_is_missing(system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(root: str, download: bool) -> SimpleNamespace:
        assert download
        return SimpleNamespace(raw_folder=shutil.copytree(system, Path(root) / "raw"))

    download.__name__ = "FashionMNIST"
    download.mirrors = ["https://nowhere"]  # type: ignore[attr-defined]
    monkeypatch.setattr(FashionMNIST, "kind", staticmethod(download))
    monkeypatch.setattr(FashionMNIST, "system_folders", ())
    monkeypatch.setattr(mnist, "check_reachable", lambda _: None)
    source = FashionMNIST(tmp_path / "data")
    source.prepare()
    assert len(source.load("train")[0]) == 30


@pytest.mark.parametrize(("download", "reason"), [(True, "Name or service not known"), (False, "download=false")])
def test_without_a_place_one_message_says_what_helps(
    download: bool, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not download:
        monkeypatch.setattr(mnist, "check_reachable", lambda *_: pytest.fail("asked"))
    with pytest.raises(InputError) as error:
        FashionMNIST(tmp_path, download).prepare()
    for words in (f"data.source.root={tmp_path}", "/nowhere", reason, "make data", "dataset-fashion-mnist"):
        assert words in str(error.value)


def test_a_network_that_never_answers_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_: time.sleep(3))
    monkeypatch.setattr(torchvision, "TIMEOUT", 0.2)
    start = time.monotonic()
    with pytest.raises(InputError, match="did not answer"):
        KMNIST(tmp_path).prepare()
    assert time.monotonic() - start < 2


def test_make_data_falls_back_on_debians_package(system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(system, unpacked := tmp_path / "package" / mnist.DEBIAN_FOLDER.relative_to("/"))
    monkeypatch.setattr(FashionMNIST, "system_folders", ())
    monkeypatch.setattr(shutil, "which", lambda _: None)
    source = FashionMNIST(tmp_path / "data")
    with pytest.raises(InputError, match=r"(?s)Name or service not known.*this system has no apt-get"):
        fetching.fetch(source)
    monkeypatch.setattr(fetching, "debian_package", lambda _: nullcontext(tmp_path / "package"))
    fetching.fetch(source)
    shutil.rmtree(unpacked)
    fetching.fetch(source)  # there is nothing left to do
    assert len(source.load("train")[0]) == 30


def prepare_and_load(source: MNIST, barrier: object, results: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    source.prepare()
    results.put(int(source.load("train")[0].sum()))  # type: ignore[attr-defined]


def test_processes_that_prepare_the_data_at_the_same_time_all_work(tmp_path: Path) -> None:
    source = KMNIST(tmp_path, download=False)
    arrays = fill(source, packed=True)
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=prepare_and_load, args=(source, barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [results.get(timeout=30) for _ in processes] == [arrays["train"][0].sum()] * 4
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(list(source.folder.iterdir())) == 8
