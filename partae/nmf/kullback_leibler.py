"""The generalised Kullback-Leibler divergence of images from the product of code and atoms."""

from __future__ import annotations

import torch
from torch import Tensor

SETTLED = 1e-3  # largest move of a code in one update, relative to its largest entry
MAX_UPDATES = 300


class KullbackLeibler:
    r"""Lee and Seung's multiplicative updates for :math:`\sum x \log(x / y) - x + y`, with y the product.

    Images are (N, F), codes (N, K), atoms (K, F); all at least 0.

    Source: Lee and Seung, *Algorithms for non-negative matrix factorization*, NIPS 13 (2001).
    """

    def value(self, images: Tensor, code: Tensor, atoms: Tensor) -> float:
        """The divergence, at least 0; lower is better."""
        product = code @ atoms
        logarithms = torch.xlogy(images, images / _positive(product))
        return float((logarithms - images + product).sum(dtype=torch.float64))

    def step(self, images: Tensor, code: Tensor, atoms: Tensor, value: float) -> tuple[Tensor, Tensor, float]:
        """One update of the code and one of the atoms, and the divergence after them."""
        code = self._updated(images, code, atoms)
        atoms = self._updated(images.T, atoms.T, code.T).T
        return code, atoms, self.value(images, code, atoms)

    def encode(self, images: Tensor, atoms: Tensor) -> Tensor:
        """The code that minimises the divergence for fixed atoms; each image settles by itself."""
        code = (images.sum(dim=1, keepdim=True) / _positive(atoms.sum())).expand(-1, len(atoms))
        settled = images.new_zeros(len(images), 1, dtype=torch.bool)
        for _ in range(MAX_UPDATES):
            updated = torch.where(settled, code, self._updated(images, code, atoms))
            settled = (updated - code).abs().amax(dim=1, keepdim=True) <= SETTLED * updated.amax(dim=1, keepdim=True)
            code = updated
            if settled.all():
                break
        return code

    @staticmethod
    def _updated(images: Tensor, code: Tensor, atoms: Tensor) -> Tensor:
        return code * ((images / _positive(code @ atoms)) @ atoms.T) / _positive(atoms.sum(dim=1))


def _positive(values: Tensor) -> Tensor:
    return values.clamp(min=torch.finfo(values.dtype).eps)
