"""The logistic activation, and intrinsic plasticity, the rule that adapts it."""

from __future__ import annotations

import torch
from torch import Tensor

from partae.printed import Printed


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
