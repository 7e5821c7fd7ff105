from __future__ import annotations

import gzip
import hashlib
import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from partae.checks import InputError
from partae.data import EMNIST, KMNIST, MNIST, mnist
from partae.data.idx import IDX
from tests.conftest import idx

COUNTS = {"train": 30, "test": 12}


def fill(source: IDX, packed: bool = False) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Small files of a data set where `source` looks for them; what is in them, by set."""
    generator = np.random.default_rng(0)
    source.folder.mkdir(parents=True)
    made = {}
    for split, names in source.names.items():
        images = generator.integers(0, 256, (COUNTS[split], 28, 28))
        labels = np.arange(COUNTS[split]) % len(source.classes) + source.first_label
        for name, array in zip(names, (images, labels), strict=True):
            content = idx(array)
            (source.folder / f"{name}{'.gz' * packed}").write_bytes(gzip.compress(content) if packed else content)
        made[split] = images, labels
    return made


@pytest.fixture
def kmnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KMNIST:
    monkeypatch.setattr(KMNIST, "counts", COUNTS)
    source = KMNIST(tmp_path, download=False)
    fill(source)
    return source


def small_mnist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> MNIST:
    source = MNIST(folder, download=False)
    fill(source)
    digests = {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in source.folder.iterdir()}
    monkeypatch.setattr(MNIST, "checksums", digests)
    return source


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [KMNIST, EMNIST])
def test_files_in_torchvisions_layout_are_read(
    kind: type[KMNIST] | type[EMNIST], packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KMNIST, "counts", COUNTS)
    monkeypatch.setattr(mnist, "SIZES", {"balanced": (30, 12)})
    source = kind(tmp_path, download=False)
    made = fill(source, packed)
    source.prepare()
    for split, (pixels, labels) in made.items():
        found, found_labels = source.load(split)
        assert found.dtype == torch.uint8
        upright = pixels.transpose(0, 2, 1) if kind is EMNIST else pixels
        np.testing.assert_array_equal(found[:, 0], upright)
        np.testing.assert_array_equal(found_labels, labels)
    # and torchvision finds them there
    arguments = {"split": "balanced"} if kind is EMNIST else {}
    np.testing.assert_array_equal(source.kind(tmp_path, train=False, **arguments).data, made["test"][0])


@pytest.mark.parametrize(("selection", "count"), [("byclass", 62), ("bymerge", 47), ("letters", 26), ("digits", 10)])
def test_each_selection_of_emnist_has_its_classes(
    selection: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist, "SIZES", {selection: (30, 12)})
    source = EMNIST(tmp_path, download=False, selection=selection)
    fill(source)
    source.prepare()
    assert len(source.classes) == count
    assert source.load("test")[1].tolist() == [index % count for index in range(12)]


def test_an_unknown_selection_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.source\.selection must be one of byclass"):
        EMNIST(selection="greek")


def test_mnist_is_known_by_its_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {*MNIST.checksums} == {name for names in MNIST.names.values() for name in names}
    source = small_mnist(tmp_path, monkeypatch)
    source.prepare()
    assert len(source.load("train")[0]) == 30
    assert not (source.folder / "SHA256SUMS").exists()
    file = source.folder / "t10k-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    with pytest.raises(InputError, match=r"t10k-labels-idx1-ubyte is truncated or altered.*MNIST's \(MD5\)"):
        source.load("test")


def test_digests_are_noted_in_a_form_that_other_tools_check(kmnist: KMNIST) -> None:
    kmnist.prepare()
    comment, *lines = (kmnist.folder / "SHA256SUMS").read_text().splitlines()
    assert comment.startswith("# ")
    assert len(lines) == 4
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((kmnist.folder / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("damage", ["empty", "half", "zeros", "another form"])
def test_digests_that_are_damaged_are_not_noted_anew(damage: str, kmnist: KMNIST) -> None:
    kmnist.prepare()
    sums = kmnist.folder / "SHA256SUMS"
    content = sums.read_bytes()
    half = b"".join(content.splitlines(keepends=True)[:3])
    other = content.replace(b"  ", b" *")
    sums.write_bytes({"empty": b"", "half": half, "zeros": bytes(len(content)), "another form": other}[damage])
    flip(kmnist.folder)
    with pytest.raises(InputError, match="SHA256SUMS is damaged, by which altered files are told"):
        kmnist.prepare()


def flip(folder: Path) -> str:
    file = folder / "train-images-idx3-ubyte"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    return file.name


def truncate(folder: Path) -> str:
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    return file.name


def swap_sets(folder: Path) -> str:
    train, test = folder / "train-images-idx3-ubyte", folder / "t10k-images-idx3-ubyte"
    contents = train.read_bytes(), test.read_bytes()
    test.write_bytes(contents[0])
    train.write_bytes(contents[1])
    return train.name


def swap_kinds(folder: Path) -> str:
    file = folder / "train-images-idx3-ubyte"
    file.write_bytes((folder / "train-labels-idx1-ubyte").read_bytes())
    return file.name


def mislabel(folder: Path) -> str:
    file = folder / "train-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes()[:-1] + b"\x0a")
    return file.name


DAMAGES = [flip, truncate, swap_sets, swap_kinds, mislabel]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_after_the_first_use_is_named_and_left_as_it_is(damage: Callable[[Path], str], kmnist: KMNIST) -> None:
    kmnist.prepare()
    name = damage(kmnist.folder)
    before = contents(kmnist.folder)
    kmnist.prepare()
    with pytest.raises(InputError, match=rf"{name} is truncated or altered.*delete it and run again"):
        kmnist.load("train")
    assert contents(kmnist.folder) == before


@pytest.mark.parametrize("damage", [damage for damage in DAMAGES if damage is not flip])
def test_damage_before_the_first_use_is_named_where_it_shows(damage: Callable[[Path], str], kmnist: KMNIST) -> None:
    name = damage(kmnist.folder)
    before = contents(kmnist.folder)
    with pytest.raises(InputError, match=name):
        kmnist.prepare()
    assert contents(kmnist.folder) == before


def test_a_packed_file_with_a_flipped_byte_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KMNIST, "counts", COUNTS)
    source = KMNIST(tmp_path, download=False)
    fill(source, packed=True)
    file = source.folder / "train-images-idx3-ubyte.gz"
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte\.gz is truncated or altered"):
        source.prepare()
    assert not file.with_suffix("").exists()


@pytest.mark.parametrize("leads", ["in a circle", "nowhere"])
def test_a_link_that_leads_to_nothing_is_named_and_kept(leads: str, kmnist: KMNIST) -> None:
    file = kmnist.folder / "train-images-idx3-ubyte"
    file.unlink()
    file.symlink_to(file if leads == "in a circle" else kmnist.folder / "gone")
    with pytest.raises(
        InputError, match=r"train-images-idx3-ubyte is a symbolic link that leads nowhere or in a circle"
    ):
        kmnist.prepare()
    assert file.is_symlink()


def test_a_root_that_is_a_circle_is_named(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.symlink_to(root)
    with pytest.raises(InputError, match=r"data\.source\.root=.*data"):
        KMNIST(root, download=False).prepare()
    assert root.is_symlink()


def test_a_folder_that_is_only_read_will_do(kmnist: KMNIST, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("partae.data.idx.write_bytes", refuse)
    kmnist.prepare()
    assert len(kmnist.load("train")[0]) == 30


def prepare_and_load(source: IDX, barrier: object, results: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    source.prepare()
    results.put(int(source.load("train")[0].sum()))  # type: ignore[attr-defined]


def test_processes_that_prepare_the_data_at_the_same_time_all_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KMNIST, "counts", COUNTS)
    source = KMNIST(tmp_path, download=False)
    made = fill(source, packed=True)
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=prepare_and_load, args=(source, barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [results.get(timeout=30) for _ in processes] == [made["train"][0].sum()] * 4
    for process in processes:
        process.join()
        assert process.exitcode == 0
    names = {name for names in source.names.values() for name in names}
    assert {file.name for file in source.folder.iterdir()} == names | {f"{name}.gz" for name in names} | {"SHA256SUMS"}
