from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from partae.nmf.least_squares import nonnegative_least_squares


def test_least_squares_meet_the_optimality_conditions() -> None:
    generator = torch.Generator().manual_seed(0)
    atoms, images = (torch.rand(*shape, generator=generator, dtype=torch.float64) for shape in ((20, 30), (50, 30)))
    atoms[3] = 0
    gram, cross = atoms @ atoms.T, images @ atoms.T
    code = nonnegative_least_squares(gram, cross)
    gradient = code @ gram - cross
    assert (code[:, 3] == 0).all()
    assert gradient.min() > -1e-5
    assert (code * gradient).abs().max() < 1e-5


def test_single_precision_suffices_for_atoms_that_are_nearly_dependent() -> None:
    random = np.random.default_rng(0)  # bright images of low contrast
    atoms = 0.5 + 0.1 * random.random((4, 60))
    images = random.random((80, 4)) @ atoms + 0.02 * random.random((80, 60))
    gram, cross = (torch.from_numpy(each).float() for each in (atoms @ atoms.T, images @ atoms.T))
    code = nonnegative_least_squares(gram, cross).double().numpy()
    least = sum(nnls(atoms.T, image)[1] ** 2 for image in images)
    assert np.square(images - code @ atoms).sum() == pytest.approx(least, rel=1e-2)
