import pytest
import torch

from partae.checks import InputError
from partae.data import Bars, DataModule, Swimmer


def test_bars_are_the_maximum_of_their_parts() -> None:
    bars = Bars(size=5, train_size=300, test_size=40)
    images, labels = bars.load("train")
    assert images.shape == (300, 1, 5, 5)
    assert bars.parts.shape == (10, 1, 5, 5)
    assert len(bars.load("test")[0]) == 40
    # a bar is there when all its pixels are, as long as not all bars of the other way are
    flat, parts = images.flatten(1), bars.parts.flatten(1)
    present = flat @ parts.T == 5
    partial = (present[:, :5].sum(1) < 5) & (present[:, 5:].sum(1) < 5)
    made = (present[:, :, None] * parts).amax(dim=1)
    assert torch.equal(made[partial], flat[partial])
    more_rows = present[:, :5].sum(1) - present[:, 5:].sum(1)
    assert torch.equal(labels[partial], torch.tensor([0, 1, 2])[more_rows.sign()[partial]])
    assert bars.classes == ("balanced", "horizontal", "vertical")


def test_bars_are_as_frequent_as_asked_and_repeat_with_their_seed() -> None:
    bars = Bars(size=8, probability=0.3, train_size=5000)
    images, _ = bars.load("train")
    torch.testing.assert_close(images.mean().item(), 1 - 0.7**2, atol=0.01, rtol=0)
    assert torch.equal(images, bars.load("train")[0])
    assert not torch.equal(images, Bars(size=8, probability=0.3, train_size=5000, seed=1).load("train")[0])


@pytest.mark.parametrize(
    ("key", "value"), [("size", 1), ("probability", 1.0), ("train_size", 0), ("test_size", 0), ("seed", -1)]
)
def test_bars_refuse_what_is_out_of_range(key: str, value: float) -> None:
    with pytest.raises(InputError, match=f"data.source.{key}"):
        Bars(**{key: value})  # type: ignore[arg-type]


def test_swimmer_has_256_poses_of_parts_that_do_not_overlap() -> None:
    swimmer = Swimmer()
    assert swimmer.parts.shape == (16, 1, 32, 32)
    assert (swimmer.parts.flatten(1).sum(1) == 6).all()
    assert swimmer.torso.sum() == 12
    assert (swimmer.parts.sum(0) + swimmer.torso).max() == 1
    images = torch.cat([swimmer.load(split)[0] for split in ("train", "test")])
    assert torch.unique(images, dim=0).shape == (256, 1, 32, 32)
    assert ((images == 0) | (images == 1)).all()
    assert (images.flatten(1).sum(1) == 12 + 4 * 6).all()


@pytest.mark.parametrize(("split", "size"), [("train", 192), ("test", 64)])
def test_swimmer_shows_each_pair_of_positions_equally_often(split: str, size: int) -> None:
    swimmer = Swimmer()
    images, labels = swimmer.load(split)
    assert len(images) == size
    present = (images.flatten(1) @ swimmer.parts.flatten(1).T == 6).float()
    assert (present.sum(0) == size / 4).all()
    together = (present.T @ present).view(4, 4, 4, 4)
    for one in range(4):
        for other in range(one):
            assert (together[one, :, other] == size / 16).all()
    assert torch.equal(present[:, :4].argmax(1), labels)


@pytest.mark.parametrize(("source", "shape", "val_size"), [(Bars(), (1, 8, 8), 200), (Swimmer(), (1, 32, 32), 32)])
def test_sources_are_served(source: Bars | Swimmer, shape: tuple[int, ...], val_size: int) -> None:
    data = DataModule(source, val_size=val_size)
    assert data.image_shape == shape
    data.prepare_data()
    for stage in ("fit", "test"):
        data.setup(stage)
    assert len(data.sets["val"][0]) == val_size
    assert data.examples("test")[1] == list(data.classes)
