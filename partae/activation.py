"""Activations by name, each with the interval that its values lie in."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from partae.checks import one_of
from partae.printed import Printed

Interval = tuple[float, float]

ANYTHING: Interval = (-math.inf, math.inf)


class Logistic(Printed):
    r"""The logistic function with a slope and a bias for each unit, which intrinsic plasticity adapts.

    .. math:: y_j = \frac{1}{1 + e^{-a_j x_j - b_j}}

    Args:
        width: K, the number of units.

    Attributes:
        slope: (K,), 1 at first.
        bias: (K,), 0 at first.
        inputs: the last inputs (B, K) in training, for the rule that adapts slope and bias.

    >>> Logistic(2)(torch.zeros(1, 2))
    tensor([[0.5000, 0.5000]])
    """

    slope: Tensor
    bias: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("slope", torch.ones(width))
        self.register_buffer("bias", torch.zeros(width))
        self.inputs: Tensor | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (B, K) in [0, 1] of inputs (B, K)."""
        if self.training:
            self.inputs = inputs.detach()
        return torch.sigmoid(self.slope * inputs + self.bias)


class NormalisedReLU(Printed):
    r"""ReLU, then each code divided by its root mean square: all codes have the length :math:`\sqrt K`.

    .. math:: y = \frac{\max(x, 0)}{\sqrt{\frac{1}{K} \sum_j \max(x_j, 0)^2}}

    At one length, the sum of a code's entries tells its Hoyer sparsity: an L1 penalty then asks for sparsity and for
    nothing else, where it otherwise shrinks the code too.

    Args:
        width: K, the number of units.

    Source, of the normalisation: Zhang and Sennrich, *Root mean square layer normalization*, NeurIPS 32 (2019).

    >>> NormalisedReLU(2)(torch.tensor([[3.0, 4.0], [5.0, -1.0], [-1.0, -1.0]]))
    tensor([[0.8485, 1.1314],
            [1.4142, 0.0000],
            [0.0000, 0.0000]])
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (B, K) in [0, √K] of inputs (B, K); a code of zeros stays one."""
        return math.sqrt(self.width) * F.normalize(F.relu(inputs), dim=-1)


# name -> how to build it for a number of units, and the interval of its values
ACTIVATIONS: dict[str, tuple[Callable[[int], nn.Module], Interval]] = {
    "sigmoid": (lambda _: nn.Sigmoid(), (0.0, 1.0)),
    "identity": (lambda _: nn.Identity(), ANYTHING),
    "relu": (lambda _: nn.ReLU(), (0.0, math.inf)),
    "normalised_relu": (NormalisedReLU, (0.0, math.inf)),
    "leaky_relu": (lambda _: nn.LeakyReLU(0.1), ANYTHING),
    "softplus": (lambda _: nn.Softplus(), (0.0, math.inf)),
    "tanh": (lambda _: nn.Tanh(), (-1.0, 1.0)),
    "logistic": (Logistic, (0.0, 1.0)),
}


def activation(key: str, name: str, width: int) -> tuple[nn.Module, Interval]:
    """The activation called ``name`` of ``width`` units, and the interval of its values.

    Args:
        key: the config key that chose it, for the message.
        name: one of `ACTIVATIONS`.
        width: the number of units.

    Raises:
        InputError: if there is no such activation.

    >>> activation("encoder.activation", "sigmoid", 100)
    (Sigmoid(), (0.0, 1.0))
    """
    build, interval = ACTIVATIONS[one_of(key, name, tuple(ACTIVATIONS))]
    return build(width), interval
