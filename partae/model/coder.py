"""Coders: images (B, C, H, W), atoms (K, C, H, W) and a bias (C, H, W) -> code (B, K), each image by itself.

A coder has nothing to learn, so that a checkpoint needs nothing but the atoms and the bias.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from partae.checks import real
from partae.nmf.least_squares import nonnegative_least_squares, sparse_least_squares


class LeastSquares(nn.Module):
    r"""The code of least squared error, its entries of any sign; among several such codes, the shortest.

    .. math:: \min_h \tfrac12 \Big\|x - b - \sum_j h_j w_j\Big\|_2^2

    It is the image less the bias, times the pseudo-inverse of the atoms: inner products where they are orthonormal.

    >>> atoms = torch.tensor([[2.0, 0.0], [0.0, 1.0]]).view(2, 1, 1, 2)
    >>> LeastSquares()(torch.tensor([3.0, 4.0]).view(1, 1, 1, 2), atoms, torch.ones(1, 1, 2))
    tensor([[1., 3.]])
    """

    def forward(self, images: Tensor, atoms: Tensor, bias: Tensor) -> Tensor:
        return self.at(atoms)(images, atoms, bias)

    def at(self, atoms: Tensor) -> Linear:
        """The same coder for these ``atoms`` only, as a product with a matrix that is computed once."""
        return Linear(torch.linalg.pinv(atoms.flatten(1)))


class Linear(nn.Module):
    """The image less the bias, times a ``matrix`` (F, K)."""

    matrix: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix)

    def forward(self, images: Tensor, atoms: Tensor, bias: Tensor) -> Tensor:
        return (images - bias).flatten(1) @ self.matrix


class NonNegativeLeastSquares(nn.Module):
    r"""The code of least squared error among those without a negative entry.

    .. math:: \min_{h \ge 0} \tfrac12 \Big\|x - b - \sum_j h_j w_j\Big\|_2^2 + \alpha \|h\|_1

    Args:
        l1: alpha, the cost of each unit of the code, at least 0.
        sparseness: Hoyer's, of each image's code, in [0, 1]; None leaves it free.

    Raises:
        InputError: if an argument is out of range.
    """

    def __init__(self, l1: float = 0.0, sparseness: float | None = None) -> None:
        super().__init__()
        self.l1 = real("model.encoder.l1", l1, low=0)
        self.sparseness = None if sparseness is None else real("model.encoder.sparseness", sparseness, low=0, high=1)

    def forward(self, images: Tensor, atoms: Tensor, bias: Tensor) -> Tensor:
        data, dictionary = (images - bias).flatten(1), atoms.flatten(1)
        if self.sparseness is not None:
            return sparse_least_squares(data, dictionary, self.sparseness)
        return nonnegative_least_squares(dictionary @ dictionary.T, data @ dictionary.T - self.l1)


class Nearest(nn.Module):
    """1 for the nearest atom and 0 for all others, so that decoding gives that atom.

    >>> atoms = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    >>> Nearest()(torch.full((1, 1, 1, 1), 0.7), atoms, torch.zeros(1, 1, 1))
    tensor([[0., 1.]])
    """

    def forward(self, images: Tensor, atoms: Tensor, bias: Tensor) -> Tensor:
        distances = torch.cdist((images - bias).flatten(1), atoms.flatten(1))
        return F.one_hot(distances.argmin(dim=1), len(atoms)).to(images.dtype)
