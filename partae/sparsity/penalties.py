"""Sparsity penalties: code (B, K) -> scalar. None of them grows with the batch size."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from partae.activation import ANYTHING, JumpReLU, Logistic
from partae.checks import InputError, real
from partae.printed import Printed


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


class L0(Penalty):
    r"""Squared relative difference between the mean number of entries that are not 0 and a target.

    .. math:: \beta \Big(\frac{1}{B n} \sum_{i=1}^{B} \|h^{(i)}\|_0 - 1\Big)^2

    The number has no derivative. In its place, an entry of 0 has the slope of the step from there to the smallest other
    entry of its unit, which is just above the unit's threshold. `JumpReLU` hands it on to the threshold, and to nothing
    else: the penalty decides which entries are 0, and does not shrink the others.

    Args:
        beta: weight in the loss, at least 0.
        target: n, the mean number of entries that are not 0, above 0.

    Raises:
        InputError: if an argument is out of range.

    Source: Rajamanoharan et al., as for `JumpReLU`; they count the inputs on both sides of the threshold.

    >>> L0(beta=1.0, target=2.0)(torch.eye(4))
    tensor(0.2500)
    """

    target: Tensor

    def __init__(self, beta: float = 0.1, target: float = 10.0) -> None:
        super().__init__(beta)
        self.register_buffer("target", torch.tensor(real("sparsity.target", target, low=0, low_open=True)))

    def forward(self, code: Tensor) -> Tensor:
        held = code.detach()
        least = torch.where(held > 0, held, torch.inf).amin(dim=0)
        number = torch.where(held > 0, 1, (code - held) / least).sum(dim=1)
        return self.beta * (number.mean() / self.target - 1).square()

    def check_fit(self, model: Any) -> None:
        """Raise InputError unless the units of ``model`` have thresholds that can learn from it."""
        if not isinstance(getattr(model.encoder, "activate", None), JumpReLU):
            raise InputError(f"sparsity=l0 needs encoder/activation=jump_relu; got {model.encoder.activation}")


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
