"""Projections onto the set of a constraint: pure functions, a tensor -> one of the same shape."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from partae.checks import real


def nonnegative(atoms: Tensor) -> Tensor:
    """The nearest atoms without a negative value: each negative value becomes 0.

    >>> import torch
    >>> nonnegative(torch.tensor([-1.0, 0.5]))
    tensor([0.0000, 0.5000])
    """
    return atoms.clamp(min=0)


def unit_interval(atoms: Tensor) -> Tensor:
    """The nearest atoms with values in [0, 1].

    >>> import torch
    >>> unit_interval(torch.tensor([-1.0, 0.5, 1.5]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return atoms.clamp(0, 1)


def unit_norm(atoms: Tensor) -> Tensor:
    """The nearest atoms (K, C, H, W) of L2 norm 1; a zero atom, which has no nearest one, stays zero.

    >>> import torch
    >>> unit_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    norm = atoms.flatten(1).norm(dim=1).view(-1, *[1] * (atoms.dim() - 1))
    return atoms / torch.where(norm > 0, norm, 1)


def hoyer(vectors: Tensor, sparseness: float | Tensor, l2: float | Tensor | None = None) -> Tensor:
    r"""The nearest non-negative vectors of a given sparseness and L2 norm: (..., N) -> (..., N).

    The sparseness fixes the L1 norm, :math:`\|x\|_1 = (\sqrt{N} (1 - s) + s) \|x\|_2`. The nearest vector is
    :math:`\max(a + b v, 0)`: it keeps the J largest entries of :math:`v`, shifted and scaled to the two norms. A sort
    and a binary search find J, so that the number of passes depends on N only: all vectors are projected at once,
    exactly, and the function maps under `torch.func.vmap`.

    Where the largest entries are equal, the nearest vector is not unique: the first of them grows and the others stay
    equal. A zero vector stays zero unless ``l2`` says otherwise; a vector of length 1 becomes its norm.

    Args:
        vectors: any leading dimensions, float32 or float64. Flatten atoms first: ``hoyer(atoms.flatten(1), ...)``.
        sparseness: Hoyer's, in [0, 1]: 0 makes all entries equal, 1 keeps one; a tensor must broadcast to (..., 1).
        l2: the norm of the result; by default each vector's own. A tensor must broadcast to (..., 1).

    Raises:
        InputError: if ``sparseness`` is a number outside [0, 1].

    Source: Hoyer, *Non-negative matrix factorization with sparseness constraints*, JMLR 5 (2004), for the operator;
    Thom and Palm, *Sparse activity and sparse connectivity in supervised learning*, JMLR 14 (2013), for its form.

    >>> hoyer(torch.tensor([[3.0, 2.0, -1.0, 0.0], [1.0, 1.0, 0.0, 0.0]]), 1.0)
    tensor([[3.7417, 0.0000, 0.0000, 0.0000],
            [1.4142, 0.0000, 0.0000, 0.0000]])
    """
    sparseness = sparseness.double() if isinstance(sparseness, Tensor) else real("sparseness", sparseness, 0, 1)
    size = vectors.shape[-1]
    norm = vectors.double().norm(dim=-1, keepdim=True) if l2 is None else l2
    ratio = math.sqrt(size) * (1 - sparseness) + sparseness
    largest, first = vectors.max(dim=-1, keepdim=True)
    # a constant added to a vector does not move its projection: count from the largest entry, which spares precision
    depth = largest - vectors
    ordered = _ascending(depth)
    sums = ordered.cumsum(dim=-1, dtype=torch.float64)
    squares = ordered.square().cumsum(dim=-1, dtype=torch.float64)

    def at(table: Tensor, kept: Tensor) -> Tensor:
        return table.gather(-1, (kept - 1).clamp(min=0)).double()

    # J: as many entries as can stay above a threshold without exceeding the ratio of the norms
    low, high = torch.ones_like(first), torch.full_like(first, size)
    for _ in range((size - 1).bit_length()):
        middle = (low + high + 1) // 2
        others, threshold = middle - 1, at(ordered, middle)
        l1_there = others * threshold - at(sums, others)
        l2_there = others * threshold.square() - 2 * threshold * at(sums, others) + at(squares, others)
        fits = l1_there.square() < ratio**2 * l2_there
        tied = threshold == 0
        low, high = torch.where(fits | tied, middle, low), torch.where(fits | tied, high, others)
    kept = low.double()
    mean = at(sums, low) / kept
    spread = at(squares, low) - kept * mean.square()
    excess = (1 - ratio**2 / kept).clamp(min=0)  # of the squared norm over that of equal entries, for a norm of 1
    slope = (excess / torch.where(spread > 0, spread, 1)).sqrt()
    level = ratio / kept + slope * mean
    # all kept entries are equal: the first grows by `bump`, and the slope takes the next smaller entry to 0
    equal = spread <= 0
    bump = torch.where(equal, (excess * kept / (kept - 1).clamp(min=1)).sqrt(), 0)
    level = torch.where(equal, level - bump / kept, level).clamp(min=0)
    next_depth = at(ordered, (low + 1).clamp(max=size))
    slope = torch.where(equal, level / torch.where(next_depth > 0, next_depth, 1), slope)
    projected = torch.addcmul((norm * level).to(depth), depth, (norm * slope).to(depth), value=-1).clamp(min=0)
    return projected.scatter_add(-1, first, (norm * bump).to(depth))


@torch.library.custom_op("partae::ascending", mutates_args=())
def _ascending(vectors: torch.Tensor) -> torch.Tensor:
    """Each vector sorted, (..., N); on the CPU by numpy, whose sort without indices is twenty times torch's."""
    if vectors.device.type == "cpu":
        return torch.from_numpy(np.sort(vectors.numpy(), axis=-1))
    return vectors.sort(dim=-1).values


@_ascending.register_vmap
def _(_: object, in_dims: tuple[int], vectors: Tensor) -> tuple[Tensor, int]:
    return _ascending(vectors.movedim(in_dims[0], 0)), 0
