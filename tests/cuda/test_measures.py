"""Measures, operators and sparse NMF on the device give what they give on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from partae import metrics
from partae.morphology import OPERATORS, Operator
from partae.nmf import SparseNMF
from tests.cuda.device import CUDA, Device

ATOMS = torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(0)) - 0.2
OF_ATOMS: list[Callable[[Tensor], Tensor]] = [metrics.atom_sparsity, metrics.coherence]
OF_ATOMS += [metrics.negative_mass, metrics.negative_share]
OF_CODE: list[Callable[[Tensor], Tensor]] = [metrics.hoyer_sparsity, metrics.l0, metrics.usage_frequency]
OF_TWO: list[Callable[[Tensor, Tensor], Tensor]] = [metrics.stability, metrics.part_recovery]
OF_TWO += [metrics.reconstruction_error, metrics.explained_variance]


@pytest.mark.parametrize(
    "measure",
    [
        *OF_ATOMS,
        *(lambda atoms, of=each: of(atoms.flatten(1)) for each in OF_CODE),
        *(lambda atoms, of=each: of(atoms, atoms.flip(0)) for each in OF_TWO),
        lambda atoms: metrics.overlap(atoms, atoms.new_ones(len(atoms))),
        lambda atoms: metrics.dead_atoms(atoms.flatten(1).amax(dim=1)),
        *(Operator(name, 1) for name in OPERATORS),
    ],
)
def test_a_measure_or_operator_gives_what_it_gives_on_the_cpu(
    measure: Callable[[Tensor], Tensor], device: Device
) -> None:
    found = measure(ATOMS.to(CUDA))
    assert found.device == CUDA
    torch.testing.assert_close(found.cpu(), measure(ATOMS))


@pytest.mark.parametrize(
    "sparseness",
    [{}, {"sparseness_of_atoms": 0.5}, {"sparseness_of_code": 0.5, "code_sparseness_per": "image"}],
    ids=str,
)
def test_sparse_nmf_gives_what_it_gives_on_the_cpu(sparseness: dict[str, Any], device: Device) -> None:
    images = torch.rand(12, 9, generator=torch.Generator().manual_seed(0))
    ours, theirs = (SparseNMF(3, max_iter=1, tol=0, random_state=0, **sparseness) for _ in range(2))
    code = ours.fit_transform(images.to(CUDA))
    assert code.device == ours.components_.device == CUDA
    torch.testing.assert_close(code.cpu(), theirs.fit_transform(images))
    torch.testing.assert_close(ours.components_.cpu(), theirs.components_)
