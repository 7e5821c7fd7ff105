from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from partae.checks import InputError
from partae.data import DataModule, FashionMNIST
from partae.metrics.classification import check_svm


def module(garments: Path, **arguments: Any) -> DataModule:
    return DataModule(FashionMNIST(garments), (1, 28, 28), **{"val_size": 100, **arguments})


def ready(garments: Path, **arguments: Any) -> DataModule:
    data = module(garments, **arguments)
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.mark.parametrize(("overfit_batches", "seed"), [(0.0, 0), (3, None)])
def test_the_images_to_overfit_are_the_same_in_every_epoch(
    overfit_batches: float, seed: int | None, garments: Path
) -> None:
    data = ready(garments)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        overfit_batches=overfit_batches, global_rank=0, world_size=1, strategy=strategy
    )
    assert data.train_dataloader().sampler.seed == seed


def rows(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_validation_images_are_cut_from_the_training_set(garments: Path) -> None:
    data = ready(garments)
    train, val = data.sets["train"][0], data.sets["val"][0]
    assert (len(train), len(val)) == (300, 100)
    every = FashionMNIST(garments).load("train")[0].float() / 255
    assert rows(train) | rows(val) == rows(every)
    assert train.min() == 0
    assert 0.9 < train.max() <= 1


def test_the_split_depends_on_the_seed_alone(garments: Path) -> None:
    first, again, other = (ready(garments, seed=seed).sets["val"][0] for seed in (0, 0, 1))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first, other)


def test_test_images_are_loaded_for_testing_only(garments: Path) -> None:
    data = ready(garments)
    assert "test" not in data.sets
    data.setup("test")
    expected, labels = FashionMNIST(garments).load("test")
    torch.testing.assert_close(data.sets["test"][0], expected.float() / 255)
    torch.testing.assert_close(torch.cat([batch for _, batch in data.test_dataloader()]), labels)


def test_one_image_of_each_class(garments: Path) -> None:
    data = ready(garments)
    images, names = data.examples("val")
    every, labels = data.sets["val"]
    assert images.shape == (10, 1, 28, 28)
    assert names == list(FashionMNIST.classes)
    assert rows(images) <= rows(every)
    assert all(image.equal(every[labels == label][0]) for label, image in enumerate(images))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, r"data\.batch_size .* got 0"),
        ({"seed": -1}, r"data\.seed .* got -1"),
        ({"val_size": -1}, r"data\.val_size must be a whole number, at least 0, or a share.* got -1"),
        ({"val_size": 1.5}, r"data\.val_size must be .* got 1\.5"),
        ({"memory": -1}, r"data\.memory .* got -1"),
        ({"prefetch": 0}, r"data\.prefetch .* got 0"),
        ({"val_size": 400}, r"data\.val_size must leave some of the 400 images; got 400"),
    ],
)
def test_bad_arguments_are_refused_by_key(arguments: dict[str, float], message: str, garments: Path) -> None:
    with pytest.raises(InputError, match=message):
        ready(garments, **arguments)


def test_a_share_of_the_images_can_be_kept_for_validation(garments: Path) -> None:
    assert len(ready(garments, val_size=0.1).sets["val"][0]) == 40
    assert len(ready(garments, val_size=0.0001).sets["val"][0]) == 1
    assert len(ready(garments, val_size=np.float32(0.25)).sets["val"][0]) == 100
    assert len(ready(garments, val_size=np.int64(100)).sets["val"][0]) == 100


def test_all_images_are_for_training_where_none_is_kept_for_validation(garments: Path) -> None:
    data = ready(garments, val_size=0)
    assert len(data.sets["train"][0]) == 400
    assert "val" not in data.sets


class Numbered:
    """Images whose pixel tells their number, in as many classes as asked for; none for 0."""

    image_shape = (1, 1, 1)

    def __init__(self, classes: int) -> None:
        self.classes = tuple(f"class {label}" for label in range(classes))

    def prepare(self) -> None:
        pass

    def load(self, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.arange(200) % max(1, len(self.classes))
        return torch.arange(200.0).view(-1, 1, 1, 1) / 200, labels


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (0, [str(number) for number in range(1, 11)]),
        (1, ["class 0"]),
        (3, ["class 0", "class 1", "class 2"]),
        (62, [f"class {label}" for label in range(10)]),
    ],
)
def test_ten_examples_at_most_whatever_the_classes(classes: int, names: list[str]) -> None:
    data = DataModule(Numbered(classes))
    data.setup("test")
    images, found = data.examples("test")
    assert found == names
    assert (images.flatten() * 200).round().tolist() == list(range(len(names)))


def test_an_svm_without_labels_is_refused() -> None:
    check_svm(DataModule(Numbered(0)).labels, "none")
    check_svm(DataModule(Numbered(2)).labels, "quick")
    with pytest.raises(InputError, match="an SVM needs labels, but the images"):
        check_svm(DataModule(Numbered(0)).labels, "quick")


def test_a_wrong_image_shape_is_refused(garments: Path) -> None:
    data = DataModule(FashionMNIST(garments), (3, 28, 28), val_size=100)
    with pytest.raises(InputError, match=r"train images of .* shape \[1, 28, 28\], but .*=\[3, 28, 28\]: "):
        data.setup("fit")


class Unlabelled(Numbered):
    """Without the labels that a source gives."""

    def load(self, split: str) -> Any:
        return super().load(split)[0], None


def test_a_source_of_ones_own_that_lacks_something_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.source=Unlabelled loads images without labels: give zeros"):
        DataModule(Unlabelled(0)).setup("test")
    with pytest.raises(InputError, match=r"data\.source=object is no source of images: it has no classes, load"):
        DataModule(cast("Any", object()), (1, 1, 1))


def test_devices_that_share_images_need_one_each(garments: Path) -> None:
    data = ready(garments, val_size=3)
    data.check(1)
    data.check(3)
    with pytest.raises(InputError, match=r"4 devices cannot share 3 val images: lower trainer\.devices or raise data"):
        data.check(4)
    ready(garments, val_size=0).check(120)
    with pytest.raises(InputError, match=r"121 devices cannot share 120 test images: lower trainer\.devices"):
        ready(garments, val_size=0).check(121)
