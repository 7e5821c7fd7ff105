from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import braycurtis, cosine
from torch import Tensor

from partae.checks import InputError
from partae.metrics import (
    atom_sparsity,
    coherence,
    hoyer_sparsity,
    negative_mass,
    negative_share,
    overlap,
    part_recovery,
    stability,
)

ONES = torch.ones(4)


def orthogonal(size: int = 4) -> Tensor:
    return torch.eye(size).reshape(size, 1, 2, -1)


def test_atom_sparsity_is_hoyers_of_the_pixels() -> None:
    atoms = torch.randn(3, 2, 4, 4)
    torch.testing.assert_close(atom_sparsity(atoms), hoyer_sparsity(atoms.reshape(3, 32)))


def test_negative_share_and_mass_in_closed_form() -> None:
    atoms = torch.tensor([1.0, -3.0, 0.0, 2.0, -2.0, 0.0, 0.0, 0.0]).reshape(2, 1, 2, 2)
    assert negative_share(atoms) == 2 / 8
    assert negative_mass(atoms) == negative_mass(atoms / 16) == 5 / 8  # a share, of small atoms too
    assert negative_share(atoms.abs()) == negative_mass(atoms.abs()) == 0
    assert negative_mass(torch.zeros(2, 1, 2, 2)) == 0


def test_overlap_is_0_for_disjoint_and_1_for_identical_atoms() -> None:
    assert overlap(orthogonal(), ONES) == 0
    torch.testing.assert_close(overlap(torch.rand(1, 1, 3, 3).expand(4, 1, 3, 3), ONES), torch.tensor(1.0))


def test_overlap_is_the_mean_over_pairs_and_weighs_the_atoms() -> None:
    atoms = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]).reshape(3, 1, 1, 3)
    torch.testing.assert_close(overlap(atoms, torch.ones(3)), torch.tensor(1 / 3 / 3))
    # the second atom doubled: minima 0 + 1 + 0, maxima 1 + 2 + 2
    torch.testing.assert_close(overlap(atoms, torch.tensor([1.0, 2.0, 1.0])), torch.tensor(1 / 5 / 3))
    assert overlap(atoms, torch.tensor([1.0, 0.0, 1.0])) == 0


def test_overlap_of_two_atoms_equals_scipys_bray_curtis() -> None:
    atoms = torch.rand(2, 1, 5, 5)
    distance = braycurtis(*atoms.flatten(1).double().numpy())
    assert overlap(atoms, torch.ones(2)).item() == pytest.approx((1 - distance) / (1 + distance), rel=1e-5)


@given(st.floats(1e-6, 1e6), st.integers(0, 2**16))
def test_overlap_ignores_order_sign_and_a_common_factor(factor: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    atoms, activation = torch.randn(4, 1, 3, 3, generator=generator), torch.rand(4, generator=generator)
    expected = overlap(atoms, activation)
    order = torch.randperm(4, generator=generator)
    assert 0 <= expected <= 1
    torch.testing.assert_close(overlap(atoms[order], activation[order]), expected)
    torch.testing.assert_close(overlap(-factor * atoms, activation), expected)


@pytest.mark.parametrize("measure", [coherence, lambda atoms: overlap(atoms, torch.ones(len(atoms)))])
def test_one_atom_has_nothing_to_overlap_with(measure) -> None:  # type: ignore[no-untyped-def]
    assert measure(torch.rand(1, 1, 3, 3)) == 0


def test_coherence_in_closed_form() -> None:
    assert coherence(orthogonal()) == 0
    assert coherence(torch.zeros(3, 1, 2, 2)) == 0
    atoms = torch.tensor([[1.0, 0.0], [0.0, 3.0], [-0.5, 0.5]]).reshape(3, 1, 1, 2)
    torch.testing.assert_close(coherence(atoms), torch.tensor(0.5).sqrt())
    torch.testing.assert_close(coherence(torch.cat([atoms, -1e-30 * atoms[:1]])), torch.tensor(1.0))


def test_coherence_equals_scipys_cosines() -> None:
    atoms = torch.randn(5, 1, 3, 3)
    vectors = atoms.flatten(1).double().numpy()
    cosines = [abs(1 - cosine(vectors[j], vectors[k])) for j in range(5) for k in range(j)]
    assert coherence(atoms).item() == pytest.approx(max(cosines), rel=1e-5)


@given(st.integers(0, 2**16))
def test_stability_ignores_order_and_positive_factors(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    atoms, others = torch.randn(2, 6, 1, 3, 3, generator=generator)
    order, factors = torch.randperm(6, generator=generator), torch.rand(6, 1, 1, 1, generator=generator) + 0.1
    torch.testing.assert_close(stability(atoms, atoms[order] * factors), torch.tensor(1.0))
    torch.testing.assert_close(stability(atoms, others[order] * factors), stability(atoms, others))
    torch.testing.assert_close(stability(atoms, others), stability(others, atoms))
    assert -1 <= stability(atoms, others) <= 1


def test_stability_matches_for_the_best_mean_and_not_greedily() -> None:
    # cosines 0.8, 1 and 0, 0.6: the greedy match takes 1 + 0, the best 0.8 + 0.6
    atoms = torch.tensor([[0.8, 0.6], [0.0, 1.0]]).reshape(2, 1, 1, 2)
    others = torch.tensor([[1.0, 0.0], [0.8, 0.6]]).reshape(2, 1, 1, 2)
    torch.testing.assert_close(stability(atoms, others), torch.tensor(0.7))


def test_stability_is_lost_when_half_of_the_atoms_change() -> None:
    atoms = orthogonal(8)
    torch.testing.assert_close(stability(atoms[:4], atoms[2:6]), torch.tensor(0.5))


def test_stability_refuses_atoms_of_different_shapes() -> None:
    with pytest.raises(InputError, match=r"\(4, 1, 2, 2\) and \(3, 1, 2, 2\)"):
        stability(orthogonal(), orthogonal()[:3])


def test_measures_of_atoms_take_double_precision() -> None:
    atoms = torch.from_numpy(np.random.default_rng(0).random((3, 1, 2, 2)))
    for value in (overlap(atoms, torch.ones(3).double()), coherence(atoms), stability(atoms, atoms)):
        assert value.dtype == torch.float64


def test_stability_takes_the_atoms_of_a_model_in_training() -> None:
    atoms = orthogonal().requires_grad_()
    assert stability(atoms, atoms) == 1


def test_parts_in_another_order_and_size_are_recovered() -> None:
    parts = torch.rand(5, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    atoms = torch.cat([3 * parts[[3, 1, 4, 0, 2]], torch.zeros(2, 1, 6, 6)])
    torch.testing.assert_close(part_recovery(atoms, parts), torch.ones(5))


def test_an_atom_counts_for_one_part_only() -> None:
    parts = torch.eye(4).view(4, 1, 2, 2)
    atoms = (parts[0] + parts[1])[None]
    torch.testing.assert_close(part_recovery(atoms, parts).sort().values, torch.tensor([0, 0, 0, 0.5**0.5]))


def test_matching_is_the_best_for_all_parts_together() -> None:
    # the first part is nearer to the first atom, yet leaves it to the second, which has no other
    parts = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(2, 1, 1, 2)
    atoms = torch.tensor([[0.8, 0.6], [0.6, 0.0]]).view(2, 1, 1, 2)
    torch.testing.assert_close(part_recovery(atoms, parts), torch.tensor([1.0, 0.6]))


def test_ignored_pixels_do_not_count() -> None:
    parts = torch.eye(4)[:3].view(3, 1, 2, 2)
    ignore = torch.eye(4)[3].view(1, 2, 2) > 0
    atoms = parts + 5 * ignore
    assert part_recovery(atoms, parts).max() < 0.5
    torch.testing.assert_close(part_recovery(atoms, parts, ignore), torch.ones(3))
