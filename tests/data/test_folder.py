from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from partae.checks import InputError
from partae.data import Folder


def image(path: Path, height: int = 4, width: int = 5, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(abs(hash(path.name))).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def everything(source: Folder, split: str) -> torch.Tensor:
    images, _ = source.load(split)
    return images.read(torch.arange(images.shape[0]))


def test_subfolders_are_classes_and_a_share_is_drawn_for_testing(images_of_odd_sizes: Path) -> None:
    source = Folder(images_of_odd_sizes, size=(8, 6))
    assert source.image_shape == (3, 8, 6)
    assert source.classes == ("green", "red")
    (train, train_labels), (test, test_labels) = source.load("train"), source.load("test")
    assert (train.shape, test.shape) == ((32, 3, 8, 6), (8, 3, 8, 6))
    assert not {*train.paths} & {*test.paths}
    for images, labels in ((train, train_labels), (test, test_labels)):
        assert [source.classes[label] for label in labels] == [path.parent.name for path in images.paths]
        # red ones are red and green ones green
        colour = images.read(torch.arange(len(labels))).float().mean(dim=(2, 3))
        assert torch.equal(colour[:, 0] > colour[:, 1], labels == 1)
    assert Folder(images_of_odd_sizes, size=(8, 6)).load("test")[0].paths == test.paths
    assert Folder(images_of_odd_sizes, size=(8, 6), seed=1).load("test")[0].paths != test.paths


def test_images_keep_their_own_size_and_pixels(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        image(tmp_path / f"{name}.png")
    source = Folder(tmp_path, test_share=0.3)
    assert source.image_shape == (3, 4, 5)
    assert source.classes == ()
    images, labels = source.load("train")
    for read, path in zip(everything(source, "train"), images.paths, strict=True):
        np.testing.assert_array_equal(read.permute(1, 2, 0), np.asarray(Image.open(path)))
    assert not labels.any()


def test_train_and_test_folders_are_the_sets(tmp_path: Path) -> None:
    for split, label, count in (("train", "a", 3), ("train", "b", 2), ("test", "a", 1), ("test", "b", 4)):
        for index in range(count):
            image(tmp_path / split / label / "deep" / f"{index}.png")
    source = Folder(tmp_path)
    assert source.classes == ("a", "b")
    assert source.load("train")[1].tolist() == [0, 0, 0, 1, 1]
    assert source.load("test")[1].tolist() == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_of_image_is_grey_or_in_colour_as_asked(mode: str, channels: int, tmp_path: Path) -> None:
    for name in ("a", "b"):
        image(tmp_path / f"{name}.png", mode=mode)
    assert Folder(tmp_path).image_shape[0] == (1 if mode in ("1", "L", "LA") else 3)
    read = everything(Folder(tmp_path, channels=channels), "train")
    assert read.shape == (1, channels, 4, 5)
    assert read.float().std() > 20


def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    path = image(tmp_path / "a.png", height=3, width=7)
    expected = np.asarray(Image.open(path)).transpose(1, 0, 2)[:, ::-1]
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(path) as turned:
        turned.save(tmp_path / "b.png", exif=exif)
    path.unlink()
    image(tmp_path / "train" / "x.png", 7, 3)
    (tmp_path / "test").mkdir()
    (tmp_path / "b.png").rename(tmp_path / "test" / "b.png")
    read = everything(Folder(tmp_path), "test")[0]
    np.testing.assert_array_equal(read.permute(1, 2, 0), expected)


def test_transparent_pixels_show_the_background(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        Image.new("RGBA", (5, 4), (255, 0, 0, 0)).save(tmp_path / split / "clear.png")
    assert not everything(Folder(tmp_path), "train").any()
    assert (everything(Folder(tmp_path, background=7), "train") == 7).all()


def test_other_files_and_links_to_elsewhere(tmp_path: Path) -> None:
    for name in ("a", "b"):
        image(tmp_path / "elsewhere" / f"{name}.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "notes.txt").write_text("no image")
    (root / ".hidden.png").write_text("no image")
    (root / "class").symlink_to(tmp_path / "elsewhere")
    assert Folder(root).classes == ("class",)
    assert everything(Folder(root), "train").shape == (1, 3, 4, 5)


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "link"])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_unreadable_file_is_named(damage: str, suffix: str, tmp_path: Path) -> None:
    for index in range(6):
        image(tmp_path / f"{index}.{suffix}", 20, 20)
    path = tmp_path / f"bad.{suffix}"
    content = image(path, 20, 20).read_bytes()
    if damage == "link":
        path.unlink()
        path.symlink_to(path)
    else:
        path.write_bytes({"empty": b"", "text": b"no image", "truncated": content[:-100]}[damage])
    with pytest.raises(InputError, match=rf"bad\.{suffix} cannot be read as an image"):
        [everything(Folder(tmp_path), split) for split in ("train", "test")]


def test_an_image_of_16_bits_is_refused(tmp_path: Path) -> None:
    image(tmp_path / "a.png")
    Image.fromarray(np.zeros((4, 5), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep\.png has pixels of kind I;16: convert it"):
        [Folder(tmp_path).load(split) for split in ("train", "test")]


def make_nothing(root: Path) -> None:
    pass


def make_circle(root: Path) -> None:
    image(root / "class" / "a.png")
    (root / "class" / "again").symlink_to(root)


def make_mixed_sizes(root: Path) -> None:
    image(root / "a.png", 4, 5)
    image(root / "b.png", 4, 5)
    image(root / "odd.png", 5, 5)


def make_mixed_colours(root: Path) -> None:
    image(root / "a.png")
    image(root / "b.png")
    image(root / "grey.png", mode="L")


def make_mixed_depths(root: Path) -> None:
    image(root / "bare.png")
    image(root / "class" / "a.png")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root.mkdir(), r"root has no images"),
        (make_nothing, r"data\.source\.root=.*root is not a folder"),
        (lambda root: image(root / "a.png"), r"root has 1 image: too few"),
        (make_circle, r"again is a symbolic link to a folder that it lies in"),
        (make_mixed_sizes, r"odd\.png is 5 by 5 pixels while .*a\.png is 4 by 5: give data\.source\.size"),
        (make_mixed_colours, r"grey\.png is grey while .*a\.png is in colour: choose data\.source\.channels"),
        (make_mixed_depths, r"bare\.png lies in no subfolder while others do"),
        (lambda root: image(root / "train" / "a.png"), r"train stands alone: .* needs both"),
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
