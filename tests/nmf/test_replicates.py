"""Several starts of one factorization, against single fits with the same generator."""

from __future__ import annotations

import itertools
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from partae.metrics import part_recovery, stability
from partae.nmf import SparseNMF
from partae.nmf.alternation import Alternation
from tests.nmf.test_sparse_nmf import CONSTRAINTS, random_images


def single_fits(count: int, **arguments: Any) -> list[SparseNMF]:
    """Fits of one start each, whose starts come from one generator."""
    generator = np.random.RandomState(0)
    return [SparseNMF(4, random_state=generator, **arguments).fit(random_images()) for _ in range(count)]


@pytest.mark.parametrize("arguments", [{"tol": 1e-3}, *({**each, "max_iter": 12, "tol": 0} for each in CONSTRAINTS)])
def test_the_best_of_several_starts_is_the_best_of_single_fits(arguments: dict[str, Any]) -> None:
    singles = sorted(single_fits(3, **arguments), key=lambda fit: fit.objective_history_[-1])
    model = SparseNMF(4, n_init=3, n_final=3, random_state=0, **arguments).fit(random_images())
    assert model.objective_history_ == singles[0].objective_history_
    assert (model.components_ == singles[0].components_).all()
    atoms = [fit.components_ for fit in singles]
    pairs = [stability(*pair).item() for pair in itertools.combinations(atoms, 2)]
    assert model.stability_ == pytest.approx(np.mean(pairs))
    partners = torch.stack([part_recovery(others, atoms[0]) for others in atoms[1:]])
    torch.testing.assert_close(model.consensus_, partners.mean(dim=0))


@pytest.mark.parametrize(("n_final", "sizes", "steps"), [(8, (), 320), (3, (4, 3), 210), (1, (4, 2), 200)])
def test_the_worse_half_is_dropped_at_each_cut(
    n_final: int, sizes: tuple[int, ...], steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {"max_iter": 40, "tol": 0}
    histories = [fit.objective_history_ for fit in single_fits(8, **arguments)]
    left = histories
    for cut, size in zip((15, 30), sizes, strict=False):
        left = sorted(left, key=lambda history: history[cut])[:size]
    step = Mock(side_effect=Alternation.step)
    monkeypatch.setattr(Alternation, "step", lambda *each: step(*each))
    model = SparseNMF(4, n_init=8, n_final=n_final, random_state=0, **arguments).fit(random_images())
    assert model.objective_history_ == min(left, key=lambda history: history[-1])
    assert step.call_count == steps


def test_parts_that_every_start_finds_have_a_consensus_and_noise_has_none() -> None:
    generator = torch.Generator().manual_seed(0)
    code, noise = torch.rand(100, 4, generator=generator), torch.rand(100, 12, generator=generator)
    of_parts = torch.where(code < 0.5, 0, code) @ torch.eye(4).repeat_interleave(3, dim=1)
    parts, other = (SparseNMF(4, n_init=3, random_state=0).fit(images) for images in (of_parts, noise))
    assert parts.stability_ == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(parts.consensus_, torch.ones(4), atol=1e-3, rtol=0)
    assert other.consensus_.max() < 0.98


def test_one_fit_agrees_with_no_other() -> None:
    model = SparseNMF(3, n_init=2, max_iter=5, tol=0).fit(random_images())
    model.set_params(n_init=1).fit(random_images())
    assert model.stability_ is None
    assert model.consensus_ is None
