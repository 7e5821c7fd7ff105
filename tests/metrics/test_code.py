from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from partae.checks import InputError
from partae.metrics import (
    L0,
    DeadAtoms,
    HoyerSparsity,
    MeanActivation,
    UnitActivation,
    UsageFrequency,
    dead_atoms,
    hoyer_sparsity,
    l0,
    usage_frequency,
)


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


def test_l0_counts_entries_above_the_threshold_by_size() -> None:
    code = torch.tensor([[0.5, -0.5, 0.1, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert l0(code).tolist() == [3, 0]
    assert l0(code, threshold=0.1).tolist() == [2, 0]
    metric = L0()
    metric.update(code)
    assert metric.compute() == 3 / 2


@given(st.integers(0, 40))
def test_l0_equals_numpys_count_nonzero(zeros: int) -> None:
    code = torch.rand(4, 40) + 0.01
    code[:, :zeros] = 0
    assert l0(code).tolist() == np.count_nonzero(code.numpy(), axis=1).tolist()


def test_usage_frequency_in_closed_form() -> None:
    code = torch.tensor([[2.0, 0.9, 0.0], [0.0, 1.1, 0.0], [1.2, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert usage_frequency(code, share=0.5).tolist() == [0.5, 0.25, 0]
    assert usage_frequency(code, share=0).tolist() == [0.5, 0.75, 0]
    assert usage_frequency(torch.zeros(3, 2)).tolist() == [0, 0]


@given(st.floats(0, 0.99))
def test_dead_atoms_are_the_units_of_frequency_0(share: float) -> None:
    code = torch.rand(9, 12) * torch.rand(12)
    assert (usage_frequency(code, share) == 0).sum() == dead_atoms(code.amax(dim=0), share)


def test_usage_l0_and_unit_activation_do_not_depend_on_how_images_fall_into_batches() -> None:
    code = torch.rand(40, 6)
    code[-1, 0] = 50.0  # the largest activation comes last
    frequency, activation, count = UsageFrequency(), UnitActivation(6), L0(0.3)
    for batch in code.split(7):
        frequency.update(batch)
        activation.update(batch)
        count.update(batch)
    torch.testing.assert_close(frequency.compute(), usage_frequency(code))
    torch.testing.assert_close(activation.compute(), code.mean(dim=0))
    torch.testing.assert_close(count.compute(), l0(code, 0.3).mean())


def test_accumulators_forget_on_reset() -> None:
    for metric in (UsageFrequency(), UnitActivation(2)):
        metric.update(torch.ones(3, 2))
        metric.reset()
        metric.update(torch.tensor([[1.0, 0.0]]))
        assert metric.compute().tolist() == [1, 0]


def test_thresholds_out_of_range_are_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"threshold must be a number in .* got -1"):
        L0(-1)
    with pytest.raises(InputError, match=r"share must be a number in .* got 2"):
        UsageFrequency(2)


def test_activations_count_by_their_size() -> None:
    code = torch.tensor([[0.0, -4.0, 0.01, 0.0], [0.0, 0.0, 0.0, 2.0]])
    torch.testing.assert_close(usage_frequency(code, share=0.01), torch.tensor([0.0, 0.5, 0.0, 0.5]))
    frequency, dead = UsageFrequency(share=0.01), DeadAtoms(4)
    for metric in (frequency, dead):
        metric.update(code[:1])
        metric.update(code[1:])
    torch.testing.assert_close(frequency.compute(), torch.tensor([0.0, 0.5, 0.0, 0.5]))
    assert dead.compute() == 2
    dead = DeadAtoms(4)
    dead.update(code)  # a unit lives by one image of a batch
    assert dead.compute() == 2


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5])
def test_a_share_that_leaves_no_unit_is_refused(share: float) -> None:
    for metric in (UsageFrequency, lambda share: DeadAtoms(3, share)):
        with pytest.raises(InputError, match=r"share must be a number in \[0, 1\)"):
            metric(share)
