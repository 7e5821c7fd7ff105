from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from partae.checks import InputError
from partae.data import Folder
from partae.data.folder import LIKE_SETS, uniform


def image(path: Path, height: int = 4, width: int = 5, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(abs(hash(path.name))).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def in_both_sets(root: Path, *names: str, **arguments: Any) -> None:
    for split in ("train", "test"):
        for name in names:
            image(root / split / name, **arguments)


def everything(source: Folder, split: str) -> torch.Tensor:
    images, _ = source.load(split)
    return images.read(torch.arange(images.shape[0]))


def test_subfolders_are_classes_and_a_share_is_drawn_for_testing(images_of_odd_sizes: Path) -> None:
    source = Folder(images_of_odd_sizes, size=(8, 6))
    assert source.image_shape == (3, 8, 6)
    assert source.classes == ("green", "red")
    (train, train_labels), (test, test_labels) = source.load("train"), source.load("test")
    assert (train.shape[1:], test.shape[1:]) == ((3, 8, 6), (3, 8, 6))
    assert len(train.paths) + len(test.paths) == 40
    assert not {*train.paths} & {*test.paths}
    for images, labels in ((train, train_labels), (test, test_labels)):
        assert [source.classes[label] for label in labels] == [path.parent.name for path in images.paths]
        # red ones are red and green ones green
        colour = images.read(torch.arange(len(labels))).float().mean(dim=(2, 3))
        assert torch.equal(colour[:, 0] > colour[:, 1], labels == 1)


def test_an_image_is_drawn_by_its_path_and_the_seed_alone(images_of_odd_sizes: Path, tmp_path: Path) -> None:
    def names(root: Path, split: str, **arguments: Any) -> set[str]:
        paths = Folder(root, size=(8, 6), **arguments).load(split)[0].paths
        return {path.relative_to(root).as_posix() for path in paths}

    train, test = (names(images_of_odd_sizes, split) for split in ("train", "test"))
    for name in train | test:  # the rule in other words: runs of former versions must find their sets again
        first = int(hashlib.blake2b(f"0/{name}".encode(), digest_size=6).hexdigest(), 16)
        assert (name in test) == (first < 0.2 * 256**6)
    moved = shutil.copytree(images_of_odd_sizes, tmp_path / "moved")
    added = {image(moved / "red" / f"more_{index}.png").relative_to(moved).as_posix() for index in range(20)}
    assert names(moved, "train") - added == train
    assert names(moved, "test") - added == test
    gone = {"red/01.jpg", *sorted(test)[:1]}
    for name in gone:
        (moved / name).unlink()
    assert names(moved, "train") - added == train - gone
    assert names(moved, "test") - added == test - gone
    assert names(images_of_odd_sizes, "test", seed=1) != test


def test_about_the_share_asked_for_is_drawn() -> None:
    for seed in range(3):
        drawn = np.array([uniform(f"class/{index}.png", seed) for index in range(1000)])
        assert drawn.min() >= 0
        assert drawn.max() < 1
        for share in (0.1, 0.2, 0.5, 0.9):
            assert abs((drawn < share).mean() - share) < 4 * np.sqrt(share * (1 - share) / 1000)
    assert 0 <= uniform("\udcff.png", 0) < 1  # a name that is no text


def test_images_keep_their_own_size_and_pixels(tmp_path: Path) -> None:
    in_both_sets(tmp_path, "a.png", "b.png", "c.png")
    source = Folder(tmp_path)
    assert source.image_shape == (3, 4, 5)
    assert source.classes == ()
    images, labels = source.load("train")
    for read, path in zip(everything(source, "train"), images.paths, strict=True):
        np.testing.assert_array_equal(read.permute(1, 2, 0), np.asarray(Image.open(path)))
    assert not labels.any()


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Train", "Test"), ("TRAIN", "test")])
def test_train_and_test_folders_are_the_sets(train: str, test: str, tmp_path: Path) -> None:
    for split, label, count in ((train, "a", 3), (train, "b", 2), (test, "a", 1), (test, "b", 4)):
        for index in range(count):
            image(tmp_path / split / label / "deep" / f"{index}.png")
    source = Folder(tmp_path)
    assert source.classes == ("a", "b")
    assert source.load("train")[1].tolist() == [0, 0, 0, 1, 1]
    assert source.load("test")[1].tolist() == [0, 1, 1, 1, 1]


def test_a_validation_folder_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    in_both_sets(tmp_path, "a.png")
    image(tmp_path / "Val" / "b.png")
    image(tmp_path / "masks" / "c.png")
    with pytest.warns(UserWarning, match=r"Val is ignored: validation images are cut from .*train") as warned:
        assert len(Folder(tmp_path).load("train")[0].paths) == 1
    assert len(warned) == 1


@pytest.mark.parametrize("name", [*LIKE_SETS, "Training", "VAL"])
@pytest.mark.parametrize("beside", ["train", "other"])
def test_a_folder_called_like_a_set_is_no_class(name: str, beside: str, tmp_path: Path) -> None:
    image(tmp_path / name / "a.png")
    image(tmp_path / beside / "b.png")
    with pytest.raises(InputError, match=rf"{name} is named like a set of images: name the two sets train and test"):
        Folder(tmp_path).load("train")


def test_a_class_below_a_set_may_be_called_like_one(tmp_path: Path) -> None:
    in_both_sets(tmp_path, "dev/a.png", "Train/a.png")
    assert Folder(tmp_path).classes == ("Train", "dev")


def test_images_are_grey_or_in_colour_as_asked_and_the_background_shows(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        Image.new("RGBA", (5, 4), (255, 0, 0, 0)).save(tmp_path / split / "clear.png")
    assert Folder(tmp_path).image_shape == (3, 4, 5)
    read = everything(Folder(tmp_path, channels=1, background=70), "train")
    assert read.shape == (1, 1, 4, 5)
    assert (read == 70).all()


def test_masks_of_zeros_and_ones_are_refused(tmp_path: Path) -> None:
    in_both_sets(tmp_path, "a.png")
    Image.fromarray(np.eye(5, dtype=np.uint8)).save(tmp_path / "test" / "a.png")
    with pytest.raises(
        InputError, match=r"the test set in data\.source\.root=.* has no value above 1 where 255 is white"
    ):
        Folder(tmp_path, size=(5, 5), channels=1).load("test")


def test_other_files_and_links_to_elsewhere(tmp_path: Path) -> None:
    for index in range(20):
        image(tmp_path / "elsewhere" / f"{index}.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "notes.txt").write_text("no image")
    (root / ".hidden.png").write_text("no image")
    (root / "class").symlink_to(tmp_path / "elsewhere")
    assert Folder(root).classes == ("class",)
    assert sum(len(everything(Folder(root), split)) for split in ("train", "test")) == 20


def make_circle(root: Path) -> None:
    image(root / "class" / "a.png")
    (root / "class" / "again").symlink_to(root)


def in_both_sets_and(name: str, **arguments: Any) -> Callable[[Path], object]:
    def make(root: Path) -> None:
        in_both_sets(root, "a.png")
        image(root / name, **arguments)

    return make


def a_broken_link(root: Path) -> None:
    in_both_sets(root, "a.png")
    (root / "test" / "bad.png").symlink_to(root / "nowhere")


def a_text(root: Path) -> None:
    in_both_sets(root, "a.png")
    (root / "test" / "bad.png").write_text("no image")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root.mkdir(), r"root has no images"),
        (lambda _: None, r"data\.source\.root=.*root is not a folder"),
        (lambda root: image(root / "a.png"), r"root has too few images: none of 1 is drawn for the (train|test) set"),
        pytest.param(
            in_both_sets_and("Train/a.png"),
            r"Train and .*train differ only by capitals",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="the file system may ignore capitals"),
        ),
        (make_circle, r"again is a symbolic link to a folder that contains it"),
        (
            in_both_sets_and("train/odd.png", height=5),
            r"odd\.png is 5 by 5 .*a\.png is 4 by 5: give data\.source\.size",
        ),
        (
            in_both_sets_and("test/grey.png", mode="L"),
            r"grey\.png is grey .* is in colour: choose data\.source\.channels",
        ),
        (in_both_sets_and("test/class/a.png"), r"a\.png lies in no subfolder while others do"),
        (lambda root: image(root / "train" / "a.png"), r"train stands alone: .* needs both"),
        (a_broken_link, r"bad\.png cannot be read as an image"),
        (a_text, r"bad\.png cannot be read as an image: it is none of PNG"),
    ],
)
def test_a_folder_that_cannot_be_used_gets_one_message(make: Any, message: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    make(root)
    with pytest.raises(InputError, match=message):
        [everything(Folder(root), split) for split in ("train", "test")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (0, 4)}, r"data\.source\.size .* got 0"),
        ({"size": (4,)}, r"data\.source\.size must be \[height, width\]; got \[4\]"),
        ({"channels": 2}, r"data\.source\.channels must be 1 .* got 2"),
        ({"test_share": 1}, r"data\.source\.test_share .* got 1"),
        ({"seed": -1}, r"data\.source\.seed .* got -1"),
        ({"background": 256}, r"data\.source\.background .* got 256"),
    ],
)
def test_bad_arguments_are_refused_by_key(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Folder(".", **arguments)
