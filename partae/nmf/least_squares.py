"""The code with the least squared error for fixed atoms, for many images at once."""

from __future__ import annotations

import torch
from torch import Tensor

from partae.nmf.updates import sparse_rows

CHECK_EVERY = 10
# of a projected gradient; where atoms are nearly dependent, a larger one leaves a code far from the best
TOLERANCE = 3e-6
SETTLED = 1e-6  # fall of an image's error in one step, relative to its squared norm, at which its code is done
MAX_STEPS = 100  # for a code of a given sparseness


def nonnegative_least_squares(gram: Tensor, cross: Tensor, max_iter: int = 5000) -> Tensor:
    r"""The code (B, K), at least 0, that minimises the squared error of each image for fixed atoms.

    .. math:: \min_{h \ge 0} \tfrac12 h G h^\top - h b^\top

    Accelerated projected gradient on atoms scaled to norm 1, restarted for each row whenever it stops descending. A row
    is done when its projected gradient, relative to ``cross``, is below `TOLERANCE`, in double precision below the
    square root of epsilon: no row waits for another, and its code does not depend on the batch.

    Args:
        gram: products of the atoms, (K, K).
        cross: products of images and atoms, (B, K).
        max_iter: steps after which a row is returned as it is; only nearly dependent atoms need so many.

    Source: Beck and Teboulle, *A fast iterative shrinkage-thresholding algorithm*, SIAM J. Imaging Sciences 2 (2009);
    O'Donoghue and Candès, *Adaptive restart for accelerated gradient schemes*, Found. Comput. Math. 15 (2015).

    >>> nonnegative_least_squares(torch.eye(2), torch.tensor([[0.5, -1.0]]))
    tensor([[0.5000, 0.0000]])
    """
    norms = gram.diagonal().sqrt()
    norms = torch.where(norms > 0, norms, 1)
    gram, cross = gram / (norms[:, None] * norms), cross / norms
    rate = 1 / torch.linalg.eigvalsh(gram)[-1].clamp(min=torch.finfo(gram.dtype).tiny)
    tolerance = min(torch.finfo(gram.dtype).eps ** 0.5, TOLERANCE) * cross.abs().amax(dim=1, keepdim=True)

    solved, rows = torch.zeros_like(cross), torch.arange(len(cross), device=cross.device)
    code, point, age = torch.zeros_like(cross), torch.zeros_like(cross), cross.new_zeros(len(cross), 1)
    for iteration in range(1, max_iter + 1):
        gradient = torch.addmm(cross, point, gram, beta=-1)
        previous, code = code, torch.addcmul(point, rate, gradient, value=-1).clamp_(min=0)
        move = code - previous
        restarts = ((point - code) * move).sum(dim=1, keepdim=True) > 0
        age = torch.where(restarts, 0, age + 1)
        if iteration % CHECK_EVERY == 0 or iteration == max_iter:
            going = (((point - code) / rate).abs() > tolerance).any(dim=1)
            solved[rows] = code
            if not going.any():
                break
            rows, code, move, age = rows[going], code[going], move[going], age[going]
            cross, tolerance = cross[going], tolerance[going]
        point = torch.addcmul(code, age / (age + 3), move)
    return solved / norms


def sparse_least_squares(images: Tensor, atoms: Tensor, sparseness: float) -> Tensor:
    """The code (B, K), at least 0, of images (B, F) by atoms (K, F), each image's with the given Hoyer sparseness.

    The problem has many minima. This one is reached by projected gradient steps from the projection of the code of
    `nonnegative_least_squares`.
    """
    gram, cross = atoms @ atoms.T, images @ atoms.T
    update = sparse_rows(sparseness)
    code = update.project(nonnegative_least_squares(gram, cross))
    least = SETTLED * images.square().sum(dim=1, keepdim=True)
    settled = torch.zeros_like(least, dtype=torch.bool)
    for _ in range(MAX_STEPS):
        improved, changes = update(code, gram, cross)
        code = torch.where(settled, code, improved)
        settled |= (changes < 0) & (changes >= -least)
        if settled.all():
            break
    return code
