"""Penalties on the mean activation of each unit: code (B, K) -> scalar."""

from __future__ import annotations

import torch
from torch import Tensor

from partae.checks import real
from partae.sparsity.penalties import Penalty

EPSILON = 1e-7


def mean_activation(code: Tensor) -> Tensor:
    """Mean activation of each unit: (..., B, K) -> (..., K), at least in single precision, which can come near 1."""
    return code.mean(dim=-2, dtype=torch.promote_types(code.dtype, torch.float32))


class MeanActivationPenalty(Penalty):
    r"""Pulls each unit's mean activation :math:`t_j` towards ``p`` by a ``divergence`` of the two.

    .. math:: \beta \sum_{j=1}^{K} d(t_j, p), \qquad t_j = \frac{1}{B} \sum_{i=1}^{B} h^{(i)}_j

    Zero when every unit's mean is ``p``. Training sees the mean of a batch; the logged value of an epoch or of a set of
    images is the penalty on the mean over all of them.

    Args:
        beta: weight in the loss, at least 0.
        p: expected activation of a unit, any number.
    """

    p: Tensor

    def __init__(self, beta: float, p: float) -> None:
        super().__init__(beta)
        self.register_buffer("p", torch.tensor(real("sparsity.p", p)))

    def divergence(self, activation: Tensor) -> Tensor:
        """The divergence of each mean activation from ``p``, at least 0: any shape -> the same shape."""
        raise NotImplementedError

    def forward(self, code: Tensor) -> Tensor:
        return self.of_mean(mean_activation(code))

    def of_mean(self, activation: Tensor) -> Tensor:
        """Penalty of the mean activation of each unit (K,), a scalar."""
        return self.beta * self.divergence(activation).sum()


class KL(MeanActivationPenalty):
    r"""Kullback-Leibler divergence of the mean activation from ``p``, both taken for probabilities.

    .. math:: d(t, p) = p \log\frac{p}{t} + (1 - p) \log\frac{1 - p}{1 - t}

    It grows as a mean nears 0 or 1; means are clamped to [1e-7, 1 - 1e-7]. ``p`` must be in (0, 1).

    Source: Ng, *Sparse autoencoder*, CS294A lecture notes (2011).

    >>> KL(beta=1.0, p=0.5)(torch.full((8, 3), 0.5))
    tensor(0.)
    """

    code_range = (0.0, 1.0)

    def __init__(self, beta: float = 0.001, p: float = 0.05) -> None:
        super().__init__(beta, real("sparsity.p", p, low=0, high=1, low_open=True, high_open=True))

    def divergence(self, activation: Tensor) -> Tensor:
        t = activation.clamp(EPSILON, 1 - EPSILON)
        return torch.xlogy(self.p, self.p / t) + torch.xlogy(1 - self.p, (1 - self.p) / (1 - t))


class L2(MeanActivationPenalty):
    r"""Squared deviation of the mean activation from ``p``.

    .. math:: d(t, p) = (t - p)^2

    Source: Lee, Ekanadham and Ng, *Sparse deep belief net model for visual area V2*, NIPS 20 (2008), with ``p`` = 0.02.

    >>> L2(beta=1.0, p=0.0)(torch.full((8, 3), 0.5))
    tensor(0.7500)
    """

    def __init__(self, beta: float = 0.1, p: float = 0.02) -> None:
        super().__init__(beta, p)

    def divergence(self, activation: Tensor) -> Tensor:
        return (activation - self.p).square()


class EpsilonL1(MeanActivationPenalty):
    r"""Absolute deviation of the mean activation from ``p``, smoothed at 0 over a width ``epsilon`` above 0.

    .. math:: d(t, p) = \sqrt{(t - p)^2 + \epsilon^2} - \epsilon

    Source: Lee, Lee, Abbeel and Ng, *Efficient L1 regularized logistic regression*, AAAI (2006), for the smoothing.

    >>> EpsilonL1(beta=1.0, p=0.0, epsilon=3.0)(torch.full((8, 1), 4.0))
    tensor(2.)
    """

    epsilon: Tensor

    def __init__(self, beta: float = 0.01, p: float = 0.05, epsilon: float = 0.01) -> None:
        super().__init__(beta, p)
        self.register_buffer("epsilon", torch.tensor(real("sparsity.epsilon", epsilon, low=0, low_open=True)))

    def divergence(self, activation: Tensor) -> Tensor:
        return torch.hypot(activation - self.p, self.epsilon) - self.epsilon


class Log(MeanActivationPenalty):
    r"""Logarithmic deviation of the mean activation from ``p``: it pulls less on a mean that is far away.

    .. math:: d(t, p) = \log\big(1 + (t - p)^2\big)

    Source: Olshausen and Field, *Emergence of simple-cell receptive field properties by learning a sparse code for
    natural images*, Nature 381 (1996), for the cost.
    """

    def __init__(self, beta: float = 0.1, p: float = 0.05) -> None:
        super().__init__(beta, p)

    def divergence(self, activation: Tensor) -> Tensor:
        return (activation - self.p).square().log1p()
