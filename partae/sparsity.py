"""Sparsity penalties: code (B, K) -> scalar. None of them depends on the batch size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from partae.activation import ANYTHING
from partae.checks import real

EPSILON = 1e-7


class NoSparsity(nn.Module):
    """No penalty on the code."""

    code_range = ANYTHING

    def forward(self, code: Tensor) -> Tensor:
        """Zero, for any code (B, K)."""
        return code.new_zeros(())


class KL(nn.Module):
    r"""Kullback-Leibler penalty that pulls each unit's mean activation towards ``p``.

    .. math::
        \beta \sum_{j=1}^{K} p \log\frac{p}{t_j} + (1 - p) \log\frac{1 - p}{1 - t_j},
        \qquad t_j = \frac{1}{B} \sum_{i=1}^{B} h^{(i)}_j

    Zero when every unit's mean is ``p``, and growing as a mean nears 0 or 1 (means are held 1e-7 away from both).

    Args:
        beta: weight in the loss, at least 0.
        p: expected activation of a unit, in (0, 1).

    Raises:
        InputError: if ``beta`` or ``p`` is out of range.

    Source: Ng, *Sparse autoencoder*, CS294A lecture notes (2011).

    >>> KL(beta=1.0, p=0.5)(torch.full((8, 3), 0.5))
    tensor(0.)
    """

    code_range = (0.0, 1.0)
    beta: Tensor
    p: Tensor

    def __init__(self, beta: float = 0.001, p: float = 0.05) -> None:
        super().__init__()
        self.register_buffer("beta", torch.tensor(real("sparsity.beta", beta, low=0)))
        self.register_buffer("p", torch.tensor(real("sparsity.p", p, low=0, high=1, open_ends=True)))

    def forward(self, code: Tensor) -> Tensor:
        """Penalty of a code (B, K), a scalar."""
        activation = code.mean(dim=0).clamp(EPSILON, 1 - EPSILON)
        # p log p + (1 - p) log(1 - p) does not depend on the code, but makes the minimum 0
        divergence = torch.xlogy(self.p, self.p / activation) + torch.xlogy(1 - self.p, (1 - self.p) / (1 - activation))
        return self.beta * divergence.sum()
