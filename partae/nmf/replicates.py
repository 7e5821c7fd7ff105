"""Fits of the same images from several starts, of which the worse are dropped on the way."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from tqdm import tqdm

from partae.nmf.alternation import Alternation, half_squared_error

WINDOW = 10  # iterations over which the fall of the error is compared with `tol`
FIRST_CUT = 15  # iterations after which the worse half is dropped; the next cut comes after twice as many


class Fit:
    """Steps from one start: the code, the atoms, and half the squared error before the first step and after each.

    Args:
        alternation: which takes the steps; a fit has one of its own, since it remembers their sizes.
        images: (N, F).
        code: to start from, (N, K).
        atoms: to start from, (K, F).
    """

    def __init__(self, alternation: Alternation, images: Tensor, code: Tensor, atoms: Tensor) -> None:
        self.alternation, self.images = alternation, images
        self.code, self.atoms = alternation.start(images, code, atoms)
        self.history: list[float] = [half_squared_error(images, self.code, self.atoms)]

    @property
    def value(self) -> float:
        """Half the squared error."""
        return self.history[-1]

    def step(self) -> None:
        """One iteration."""
        self.code, self.atoms, value = self.alternation.step(self.images, self.code, self.atoms, self.value)
        self.history.append(value)

    def is_settled(self, tol: float) -> bool:
        """Whether the last iterations lowered the error by less than the share ``tol`` of its first value."""
        return len(self.history) > WINDOW and self.history[-1 - WINDOW] - self.value <= tol * self.history[0]


def race(fits: Sequence[Fit], n_final: int, max_iter: int, tol: float, *, verbose: bool = False) -> list[Fit]:
    """The fits that go to the end, the best first.

    After 15, 30, 60, ... iterations the half with the larger error is dropped, as long as more than ``n_final`` are
    left. A fit that has settled costs nothing more, and is compared as it is.

    Fits take their steps one by one. Steps on all of them at once, over a leading dimension, were measured to take as
    long on a CPU, or longer, where they leave its caches.

    Source: Jamieson and Talwalkar, *Non-stochastic best arm identification and hyperparameter optimization*,
    AISTATS (2016), for successive halving.
    """
    cut = FIRST_CUT
    for iteration in tqdm(range(1, max_iter + 1), "NMF", leave=False, disable=not verbose):
        for fit in fits:
            if not fit.is_settled(tol):
                fit.step()
        if iteration == cut:
            fits, cut = _best(fits)[: max(n_final, (len(fits) + 1) // 2)], 2 * cut
        if all(fit.is_settled(tol) for fit in fits):
            break
    return _best(fits)


def _best(fits: Sequence[Fit]) -> list[Fit]:
    return sorted(fits, key=lambda fit: fit.value)
