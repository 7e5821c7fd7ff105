r"""One step on one factor, the other fixed.

Both factors are written alike, ``factor`` (M, K): the code (N, K), or the atoms as columns (F, K). With the other
factor fixed the squared error is, up to a constant, a quadratic in Gram form,

.. math:: q(X) = \tfrac12 \langle X G, X \rangle - \langle X, B \rangle,

of ``gram`` G (K, K), the products of the other factor's columns, and ``cross`` B (M, K), its products with the images.
The residual is never formed. A step returns the new factor and the change of q, at most 0. It computes that change from
the move itself, since the difference of two values of q would drown in rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from partae.projection import hoyer

Update = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

GROWTH = 1.2  # of the step after a success
SHORTEST = 1e-5  # step, and the inverse of the longest, in units of the inverse of the largest eigenvalue
TRIES = 36  # halvings from the longest step past the shortest


def change(move: Tensor, gradient: Tensor, gram: Tensor, per: Literal["row", "column"] = "column") -> Tensor:
    """The change of q by a ``move`` (M, K), in float64: of each row, (M, 1), or of all of it, (1, 1)."""
    slope = torch.addmm(gradient, move, gram, alpha=0.5)
    by_row = slope.mul_(move).sum(dim=1, keepdim=True, dtype=torch.float64)
    return by_row if per == "row" else by_row.sum(dim=0, keepdim=True)


def multiplicative(factor: Tensor, gram: Tensor, cross: Tensor) -> tuple[Tensor, Tensor]:
    """Lee and Seung's update: (M, K), (K, K), (M, K), all non-negative -> (M, K) and the change of q (1, 1).

    Source: Lee and Seung, *Algorithms for non-negative matrix factorization*, NIPS 13 (2001).

    >>> multiplicative(torch.ones(1, 1), torch.full((1, 1), 2.0), torch.full((1, 1), 3.0))[0]
    tensor([[1.5000]])
    """
    product, tiny = factor @ gram, torch.finfo(factor.dtype).tiny
    updated = factor * cross / product.clamp(min=tiny)
    # entries on their way to 0 become subnormal numbers, which make products 20 times slower
    updated = torch.where(updated < tiny**0.5 * updated.max(), 0, updated)
    return updated, change(updated - factor, product - cross, gram)


@dataclass
class ProjectedGradient:
    """A step against the gradient, then a projection of each column or each row of the factor.

    The step is halved until q falls and grows by `GROWTH` after a success. Columns share one step, since q couples
    them; every row has its own, and a row whose q would rise stays where it is until the next call.

    Args:
        project: a factor (M, K) -> the nearest one that keeps the constraint.
        per: which vectors are constrained, the rows or the columns of the factor.

    Source: Hoyer, *Non-negative matrix factorization with sparseness constraints*, JMLR 5 (2004).
    """

    project: Callable[[Tensor], Tensor]
    per: Literal["row", "column"]
    step: Tensor | None = field(default=None, init=False)

    def __call__(self, factor: Tensor, gram: Tensor, cross: Tensor) -> tuple[Tensor, Tensor]:
        """A projected ``factor`` (M, K) -> one with a smaller q, and the change of q, (M, 1) or (1, 1)."""
        largest = torch.linalg.eigvalsh(gram)[-1]
        unit = 1 / torch.where(largest > 0, largest, 1)
        step = unit.expand(len(factor) if self.per == "row" else 1, 1) if self.step is None else self.step
        gradient = factor @ gram - cross
        for _ in range(TRIES):
            projected = self.project(torch.addcmul(factor, step, gradient, value=-1))
            changed = change(projected - factor, gradient, gram, self.per)
            falls = changed <= 0
            is_shortest = bool((step <= SHORTEST * unit).all())
            step = torch.where(falls, step * GROWTH, step / 2).clamp(min=SHORTEST * unit, max=unit / SHORTEST)
            if is_shortest or falls.any():
                break
        self.step = step
        return torch.where(falls, projected, factor), torch.where(falls, changed, 0)


def sparse_rows(sparseness: float) -> ProjectedGradient:
    """Steps that keep each row of the factor at a Hoyer sparseness."""
    return ProjectedGradient(lambda factor: hoyer(factor, sparseness), per="row")


def sparse_columns(sparseness: float, norm: float | None = None) -> ProjectedGradient:
    """Steps that keep each column of the factor at a Hoyer sparseness, and at an L2 norm where one is given."""
    return ProjectedGradient(lambda factor: hoyer(factor.T, sparseness, norm).T, per="column")
