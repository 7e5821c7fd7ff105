"""Matching pursuit: an encoder without weights, which codes each image by a few of the atoms, chosen one by one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from partae.checks import InputError, whole
from partae.printed import Printed
from partae.sparsity import NoSparsity


@torch.no_grad()
def pursue(images: Tensor, atoms: Tensor, l0: int) -> Tensor:
    """The code (B, K) of images (B, F) by atoms (K, F): at least 0, with ``l0`` entries above 0 at most.

    The atom that lowers the squared error most is chosen, and so on; each time, the entries of all atoms chosen so far
    are adapted to one another, one after another and twice, by coordinate descent. An image that no further atom can
    explain has fewer entries.

    Source: Bruckstein, Elad and Zibulevsky, *On the uniqueness of nonnegative sparse solutions to underdetermined
    systems of equations*, IEEE Trans. Inf. Theory 54 (2008), with exact least squares in place of the descent.

    >>> pursue(torch.tensor([[3.0, 1.0, 2.0]]), torch.eye(3), l0=2)
    tensor([[3., 0., 2.]])
    """
    norms = atoms.norm(dim=1)
    norms = torch.where(norms > 0, norms, 1)
    directions = atoms / norms[:, None]
    gram, rest = directions @ directions.T, images @ directions.T
    code, chosen = torch.zeros_like(rest), []
    for _ in range(l0):
        chosen.append(rest.argmax(dim=1, keepdim=True))
        for unit in chosen[::-1] * 2:
            step = torch.maximum(rest.gather(1, unit), -code.gather(1, unit))
            code = code.scatter_add(1, unit, step)
            rest = rest - step * gram.index_select(0, unit[:, 0])
    return code / norms


class MatchingPursuit(Printed):
    """Codes each image by at most ``l0`` of the decoder's atoms, chosen one by one (`pursue`).

    It has nothing to learn: the atoms learn by the error of the reconstruction, as in dictionary learning. Since the
    code has nearly the least squared error of its atoms, a change of the code would not lower the error further, and
    the code needs no gradient.

    Args:
        l0: the most entries of a code that are not 0, 1 to 1000.

    Raises:
        InputError: if ``l0`` is no such number.
    """

    code_range = (0.0, float("inf"))

    def __init__(self, l0: int = 10) -> None:
        super().__init__()
        self.l0 = whole("encoder.l0", l0, maximum=1000)

    def forward(self, images: Tensor, atoms: Tensor) -> Tensor:
        """Code (B, K) of images (B, C, H, W) by atoms (K, C, H, W)."""
        return pursue(images.flatten(1), atoms.flatten(1), self.l0)

    def awaken(self, units: Tensor, images: Tensor, chosen: Tensor, size: Tensor) -> None:
        """Nothing: a unit responds by its atom."""

    def check_fit(self, model: Any) -> None:
        """Raise InputError if ``model`` penalises the code, which has no gradient, learns a bias, or sums no atoms."""
        if type(model.sparsity) is not NoSparsity:
            penalty = type(model.sparsity).__name__
            raise InputError(f"encoder=matching_pursuit has a sparsity of its own: choose sparsity=none; got {penalty}")
        if model.bias_is_atom:
            raise InputError("encoder=matching_pursuit sums atoms: choose decoder=dictionary")
        if model.bias.requires_grad:
            raise InputError("encoder=matching_pursuit sums atoms and nothing else: choose decoder.biased=false")
