from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from partae.metrics import DeadAtoms, HoyerSparsity, MeanActivation, dead_atoms, hoyer_sparsity


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


def in_batches(code: Tensor, metric: DeadAtoms | HoyerSparsity | MeanActivation) -> float:
    for batch in code.split(7):
        metric.update(batch)
    return float(metric.compute())


def test_metrics_do_not_depend_on_how_images_fall_into_batches() -> None:
    code = torch.rand(40, 6) * torch.tensor([1, 1, 0.005, 1, 0, 1])
    assert in_batches(code, HoyerSparsity()) == pytest.approx(hoyer_sparsity(code).mean().item())
    assert in_batches(code, MeanActivation()) == pytest.approx(code.mean().item())
    assert in_batches(code, DeadAtoms(6)) == 2


def test_dead_atoms_forgets_on_reset() -> None:
    metric = DeadAtoms(2)
    metric.update(torch.ones(1, 2))
    metric.reset()
    metric.update(torch.tensor([[1.0, 0.0]]))
    assert metric.compute() == 1
    assert math.isclose(metric.largest[1].item(), 0)
