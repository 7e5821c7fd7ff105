"""Sparsity penalties: code (B, K) -> scalar. None of them depends on the batch size."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from partae.activation import ANYTHING, Logistic
from partae.checks import InputError, real
from partae.printed import Printed

EPSILON = 1e-7


def hoyer_sparsity(code: Tensor) -> Tensor:
    r"""Hoyer's sparsity of each code: (B, K) -> (B,), in [0, 1]; higher is sparser.

    .. math:: \frac{\sqrt{K} - \|h\|_1 / \|h\|_2}{\sqrt{K} - 1}

    1 for a single non-zero entry, 0 when all entries are equal in size. Where the formula gives 0 / 0 it is 0: for a
    zero code, whose entries are all equal, and for K = 1.

    Source: Hoyer, *Non-negative matrix factorization with sparseness constraints*, JMLR 5 (2004).

    >>> hoyer_sparsity(torch.tensor([[0.0, 3.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0]]))
    tensor([1., 0.])
    """
    root = math.sqrt(code.shape[1])
    if root == 1:
        return code.new_zeros(len(code))
    # the measure is scale-free: dividing by the largest entry first keeps the squares of tiny codes above 0
    largest = code.detach().abs().amax(dim=1, keepdim=True)
    scaled = code / torch.where(largest == 0, 1, largest)
    l1, l2 = scaled.norm(p=1, dim=1), scaled.norm(p=2, dim=1)
    sparsity = (root - l1 / torch.where(l2 == 0, 1, l2)) / (root - 1)
    return torch.where(l2 == 0, 0, sparsity).clamp(0, 1)


def mean_activation(code: Tensor) -> Tensor:
    """Mean activation of each unit: (..., B, K) -> (..., K), at least in single precision, which can come near 1."""
    return code.mean(dim=-2, dtype=torch.promote_types(code.dtype, torch.float32))


class NoSparsity(nn.Module):
    """No penalty on the code."""

    code_range = ANYTHING

    def forward(self, code: Tensor) -> Tensor:
        """Zero, for any code (B, K)."""
        return code.new_zeros(())


class Penalty(Printed):
    """A penalty on codes in ``code_range``: code (B, K) -> scalar.

    Args:
        beta: weight in the loss, at least 0.

    Raises:
        InputError: if an argument is out of range.
    """

    code_range = ANYTHING
    beta: Tensor

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.register_buffer("beta", torch.tensor(real("sparsity.beta", beta, low=0)))


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


class L1(Penalty):
    """Mean L1 norm of the codes.

    >>> L1(beta=0.5)(torch.tensor([[1.0, -1.0], [0.0, 2.0]]))
    tensor(1.)
    """

    def __init__(self, beta: float = 0.0003) -> None:
        super().__init__(beta)

    def forward(self, code: Tensor) -> Tensor:
        return self.beta * code.abs().sum(dim=1).mean()


class Hoyer(Penalty):
    """Mean squared difference between each code's `hoyer_sparsity` and a target in [0, 1]; 1 is sparsest.

    >>> Hoyer(beta=1.0, target=0.5)(torch.eye(4))
    tensor(0.2500)
    """

    target: Tensor

    def __init__(self, beta: float = 0.01, target: float = 0.65) -> None:
        super().__init__(beta)
        self.register_buffer("target", torch.tensor(real("sparsity.target", target, low=0, high=1)))

    def forward(self, code: Tensor) -> Tensor:
        return self.beta * (hoyer_sparsity(code) - self.target).square().mean()


class IntrinsicPlasticity(Printed, NoSparsity):
    """Makes a code sparse by the units' own slope and bias, not by a term of the loss.

    It needs ``encoder.activation=logistic``, whose slope and bias `adapt` moves after each optimizer step. The rule
    brings each unit as near to the exponential distribution of mean ``p`` as two parameters can; a unit whose inputs
    fall into two clusters stays some hundredths away from that mean.

    Args:
        p: the target of each unit's mean activation, in (0, 1).
        rate: step size of the rule, above 0.

    Raises:
        InputError: if an argument is out of range.

    Source: Lemme, Reinhart and Steil, *Online learning and generalization of parts-based image representations by
    non-negative sparse autoencoders*, Neural Networks 33 (2012).
    """

    p: Tensor
    rate: Tensor

    def __init__(self, p: float = 0.2, rate: float = 0.005) -> None:
        super().__init__()
        self.register_buffer("p", torch.tensor(real("sparsity.p", p, low=0, high=1, low_open=True, high_open=True)))
        self.register_buffer("rate", torch.tensor(real("sparsity.rate", rate, low=0, low_open=True)))

    def check_fit(self, model: Any) -> None:
        """Raise InputError unless the units of ``model`` are logistic ones."""
        activation = model.encoder.activation
        if not isinstance(model.encoder.activate, Logistic):
            raise InputError(f"sparsity=intrinsic_plasticity needs encoder.activation=logistic; got {activation}")

    def adapt(self, model: Any) -> None:
        """Adapt the units of ``model`` to its last batch."""
        logistic = model.encoder.activate
        logistic.adapt(model.of_all_processes(logistic.inputs), self.p, self.rate)
