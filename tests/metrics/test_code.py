from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from partae.metrics import dead_atoms, hoyer_sparsity, l0, relative_l0, usage_frequency
from partae.metrics.code import DEAD_SHARE, Contributions, DeadAtoms
from partae.metrics.meanings import MEANINGS


@pytest.mark.parametrize("size", [2, 10, 100])
def test_hoyer_is_1_for_one_hot_and_0_for_constant_codes(size: int) -> None:
    torch.testing.assert_close(hoyer_sparsity(3 * torch.eye(size)), torch.ones(size))
    torch.testing.assert_close(hoyer_sparsity(torch.full((1, size), -0.2)), torch.zeros(1), atol=1e-6, rtol=0)


def test_hoyer_in_closed_form_for_some_equal_entries() -> None:
    code = torch.zeros(1, 100)
    code[0, :25] = 0.7
    torch.testing.assert_close(hoyer_sparsity(code), torch.tensor([(10 - 5) / 9]))


@given(st.floats(1e-18, 1e18), st.integers(2, 40))
def test_hoyer_is_scale_free_and_in_range(scale: float, size: int) -> None:
    code = torch.rand(3, size)
    sparsity = hoyer_sparsity(code)
    torch.testing.assert_close(hoyer_sparsity(code * scale), sparsity, atol=1e-5, rtol=0)
    assert ((sparsity >= 0) & (sparsity <= 1)).all()


def test_hoyer_where_it_is_0_over_0() -> None:
    assert hoyer_sparsity(torch.zeros(1, 5)).item() == 0
    assert hoyer_sparsity(torch.tensor([[3.0]])).item() == 0


def test_dead_atoms_never_exceed_the_share() -> None:
    assert dead_atoms(torch.tensor([1.0, 0.01, 0.0101, 0.0])).item() == 2
    assert dead_atoms(torch.tensor([1.0, 0.01, 0.0101, 0.0]), share=0.5).item() == 3


def test_dead_atoms_are_counted_over_all_batches_until_reset() -> None:
    code = torch.rand(40, 6) * torch.tensor([1, 1, 0.005, 1, 0, 1])
    metric = DeadAtoms(6)
    for batch in code.split(7):
        metric.update(batch)
    assert metric.compute() == 2
    metric.reset()
    metric.update(torch.tensor([[0.0, -4.0, 0.01, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0, 0.0, 0.0]]))  # either sign
    assert metric.compute() == 4


def test_l0_counts_entries_above_the_threshold_by_size() -> None:
    code = torch.tensor([[0.5, -0.5, 0.1, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert l0(code).tolist() == np.count_nonzero(code.numpy(), axis=1).tolist() == [3, 0]
    assert l0(code, threshold=0.1).tolist() == [2, 0]


def test_the_relative_l0_does_not_depend_on_the_scale_of_atoms() -> None:
    code = torch.tensor([[4.0, -0.5, 0.001], [0.0, 0.0, 0.0], [0.0, 0.0, 0.3]])
    atoms = torch.rand(3, 1, 2, 2) + 1
    factors = torch.tensor([0.01, 100.0, 1.0])
    assert relative_l0(code, atoms).tolist() == [2, 0, 1]
    assert relative_l0(code * factors, atoms / factors.view(3, 1, 1, 1)).tolist() == [2, 0, 1]
    assert relative_l0(code, atoms, share=0.5).tolist() == [1, 0, 1]


def test_usage_frequency_in_closed_form() -> None:
    code = torch.tensor([[2.0, -0.9, 0.0], [0.0, 1.1, 0.0], [1.2, -1.0, 0.0], [0.0, 0.0, 0.0]])
    assert usage_frequency(code, share=0.5).tolist() == [0.5, 0.25, 0]
    assert usage_frequency(code, share=0).tolist() == [0.5, 0.75, 0]
    assert usage_frequency(torch.zeros(3, 2)).tolist() == [0, 0]


@given(st.floats(0, 0.99))
def test_dead_atoms_are_the_units_of_frequency_0(share: float) -> None:
    code = torch.rand(9, 12) * torch.rand(12)
    assert (usage_frequency(code, share) == 0).sum() == dead_atoms(code.amax(dim=0), share)


@pytest.mark.parametrize("name", ["dead_atoms", "usage_frequency"])
def test_the_share_stands_in_words_too(name: str) -> None:
    assert f"{DEAD_SHARE:g} of the largest activation" in MEANINGS[name].meaning


@pytest.mark.parametrize(
    ("code", "contributing", "variation"),
    [
        (torch.eye(4), 3, 0.75),  # the fourth atom is nearly 0
        (torch.ones(5, 4), 3, 0.0),  # a saturated encoder
        (torch.zeros(5, 4), 0, 0.0),
        (torch.tensor([[1.0, 0, 0, 0], [-1.0, 0, 0, 0]]), 1, 1.0),
    ],
)
def test_contributions_in_closed_form(code: torch.Tensor, contributing: int, variation: float) -> None:
    metric = Contributions(4)
    for batch in code.split(2):
        metric.update(batch, torch.tensor([1.0, 2.0, 3.0, 0.001]).reshape(4, 1, 1, 1))
    expected = {"contributing_atoms": contributing, "code_variation": variation}
    assert {name: value.item() for name, value in metric.compute().items()} == pytest.approx(expected)
