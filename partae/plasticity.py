"""Intrinsic plasticity: units adapt their own slope and bias until they are active as rarely as they should be."""

from __future__ import annotations

import torch
from torch import Tensor

from partae.activation import Logistic
from partae.checks import InputError, real
from partae.printed import Printed
from partae.sparsity import NoSparsity


def intrinsic_plasticity(inputs: Tensor, outputs: Tensor, slope: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    r"""The directions in which slope and bias of a logistic unit bring its outputs to an exponential distribution.

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


class IntrinsicPlasticity(Printed, NoSparsity):
    """Makes a code sparse by the units' own slope and bias, instead of by a term of the loss.

    It needs ``encoder.activation=logistic``, whose slope and bias `update` moves after each optimizer step. The rule
    brings each unit as near to the exponential distribution of mean ``p`` as two parameters can; a unit whose inputs
    fall into two clusters stays some hundredths away from that mean.

    Args:
        p: the mean that each unit's activation is to have, in (0, 1).
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

    @torch.no_grad()
    def update(self, logistic: Logistic) -> None:
        """Move slope and bias by one step of the rule, on the inputs of the last batch; a slope stays positive."""
        if logistic.inputs is None:
            raise InputError("intrinsic plasticity needs a batch before it can adapt")
        outputs = torch.sigmoid(logistic.slope * logistic.inputs + logistic.bias)
        slope, bias = intrinsic_plasticity(logistic.inputs, outputs, logistic.slope, self.p)
        logistic.slope.add_(self.rate * slope).clamp_(min=1e-3)
        logistic.bias.add_(self.rate * bias)
