from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from partae.data import Batches, Order


def test_the_order_is_a_pure_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        torch.manual_seed(epoch * 31 + seed)  # whatever else is drawn
        order = Order(100, seed)
        order.set_epoch(epoch)
        return order.indices().tolist()

    assert order(0, 3) == order(0, 3)
    assert len({tuple(order(seed, epoch)) for seed in range(5) for epoch in range(5)}) == 25
    assert sorted(order(0, 3)) == list(range(100))


def test_without_a_seed_images_keep_their_order() -> None:
    assert Order(5).indices().tolist() == [0, 1, 2, 3, 4]


@given(st.integers(1, 60), st.integers(1, 7), st.booleans())
def test_ranks_share_the_images(size: int, world_size: int, shuffled: bool) -> None:
    ranks = [Order(size, 0 if shuffled else None, rank, world_size) for rank in range(world_size)]
    shares = [rank.indices().tolist() for rank in ranks]
    assert [len(rank) for rank in ranks] == [len(share) for share in shares]
    seen = [index for share in shares for index in share]
    assert len(set(seen)) == len(seen)
    if shuffled:
        assert len({len(share) for share in shares}) == 1  # all take as many steps
        assert len(seen) == size - size % world_size
    else:
        assert sorted(seen) == list(range(size))


@given(st.integers(1, 12), st.integers(1, 14), st.integers(1, 5), st.booleans())
def test_no_batch_is_empty(size: int, batch_size: int, world_size: int, shuffled: bool) -> None:
    images, labels = torch.zeros(size, 1, 1, 1), torch.arange(size)
    for rank in range(world_size):
        order = Order(size, 0 if shuffled else None, rank, world_size)
        batches = Batches(images, labels, batch_size, order)
        sizes = [len(batch) for batch, _ in batches]
        assert len(sizes) == len(batches)
        assert all(1 <= size <= batch_size for size in sizes)
        assert sum(sizes) == len(order)


@pytest.mark.parametrize("batch_size", [1, 4, 10, 11, 100])
def test_an_epoch_holds_every_image_once_with_its_label(batch_size: int) -> None:
    images = torch.arange(11.0).view(11, 1, 1, 1)
    batches = Batches(images, torch.arange(11), batch_size, Order(11, seed=1))
    seen = list(batches)
    assert len(seen) == len(batches)
    assert [len(batch) for batch, _ in seen[:-1]] == [batch_size] * (len(seen) - 1)
    labels = torch.cat([labels for _, labels in seen])
    torch.testing.assert_close(torch.cat([batch for batch, _ in seen]).flatten(), labels.float())
    assert labels.sort().values.tolist() == list(range(11))
