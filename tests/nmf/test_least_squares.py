from __future__ import annotations

import torch

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
