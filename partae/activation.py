"""Activations: those that have a name, each with the interval of its values, and who uses one."""

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
        inputs: the last inputs (B, K) in training, which the rule that adapts slope and bias needs.

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

    @torch.no_grad()
    def adapt(self, inputs: Tensor, p: Tensor, rate: Tensor) -> None:
        """Move slope and bias by one step of `intrinsic_plasticity`, for inputs (B, K); a slope stays positive."""
        slope, bias = intrinsic_plasticity(inputs, torch.sigmoid(self.slope * inputs + self.bias), self.slope, p)
        self.slope.add_(rate * slope).clamp_(min=1e-3)
        self.bias.add_(rate * bias)


def intrinsic_plasticity(inputs: Tensor, outputs: Tensor, slope: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    r"""The directions that move the slope and bias of a logistic unit towards exponentially distributed outputs.

    .. math::
        \Delta b = 1 - \Big(2 + \frac{1}{p}\Big) y + \frac{y^2}{p},
        \qquad \Delta a = \frac{1}{a} + x \, \Delta b

    averaged over the batch: the descent of the Kullback-Leibler divergence from the exponential of mean ``p``.

    Args:
        inputs: x, (B, K).
        outputs: y = logistic(a x + b), (B, K).
        slope: a, (K,).
        p: mean of the exponential, in (0, 1).

    Returns:
        The directions of the slope and of the bias, each (K,).

    Source: Triesch, *A gradient rule for the plasticity of a neuron's intrinsic excitability*, ICANN (2005).
    """
    bias = 1 - (2 + 1 / p) * outputs + outputs.square() / p
    return 1 / slope + (inputs * bias).mean(dim=0), bias.mean(dim=0)


class NormalisedReLU(Printed):
    r"""ReLU, then each code divided by its root mean square: all codes have the length :math:`\sqrt K`.

    .. math:: y = \frac{\max(x, 0)}{\sqrt{\frac{1}{K} \sum_j \max(x_j, 0)^2}}

    Among codes of one length, the sum of the entries determines Hoyer sparsity: an L1 penalty then asks for sparsity
    only, where it would otherwise shrink the code too.

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


class Activated(Printed):
    """A module whose last step is an activation, given by name or as a module.

    Attributes:
        activate: the activation, (B, K) -> (B, K).
    """

    activate: nn.Module
    _name: str | None = None

    def build_activation(self, key: str, choice: str | nn.Module, width: int) -> Interval:
        """Set `activate`, and return the interval of its values.

        Args:
            key: the config key of the choice, for the message.
            choice: a name in `ACTIVATIONS`; or a module, which may state the interval of its values as ``interval``.
            width: the number of units.

        Raises:
            InputError: if there is no such activation.
        """
        if isinstance(choice, nn.Module):
            self.activate = choice
            return getattr(choice, "interval", ANYTHING)
        self._name = one_of(key, choice, tuple(ACTIVATIONS))
        build, interval = ACTIVATIONS[self._name]
        self.activate = build(width)
        return interval

    @property
    def activation(self) -> str | nn.Module:
        """The activation as it was chosen: a name, or else a module."""
        return self._name or self.activate
