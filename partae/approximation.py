"""The max-approximation error as a loss term: (model, code, images) -> scalar."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from partae.checks import InputError, real
from partae.morphology import Operator, operate, read_operator
from partae.printed import Printed
from partae.representation import Representation


class Approximation(Printed):
    """A term of the loss: (model, code (B, K), images (B, C, H, W)) -> scalar.

    Attributes:
        applied: the operators that it trains for.
    """

    applied: tuple[Operator, ...] = ()

    def gain(self, operator: Operator) -> float:
        """The gain that was learned for ``operator``, at least 0; 1 if none was."""
        return 1.0

    def forward(self, model: Representation, code: Tensor, images: Tensor, operated: Tensor | None = None) -> Tensor:
        """Loss of the code (B, K) of images (B, C, H, W), a scalar.

        ``operated`` (B, O, C, H, W) are the images operated on by each of `applied`, where that is done already.
        """
        raise NotImplementedError


class MaxApproximation(Approximation):
    r"""Trains towards the max-approximation: its squared error, mean over images, pixels and operators.

    .. math:: \frac{\omega}{|O|} \sum_{o \in O} \big\| g_o \, \mathrm{decode}(h, o(\mathrm{atoms})) - o(x) \big\|^2

    The gradient flows through the operators on the atoms, K images only, and to a gain :math:`g_o` for each operator,
    since atoms that overlap add up to too much. With gains of 1 and without the weight, it is the measure
    ``max_approximation_error`` of the same images.

    Args:
        operators: those to approximate, each as `partae.morphology.operator` takes it.
        weight: omega, in the loss, at least 0.

    Attributes:
        applied: the operators themselves.
        gains: one an operator, (O,), learned; 1 at first.

    Raises:
        InputError: if there is no operator, one of them is unknown, or the weight is out of range.
    """

    weight: Tensor

    def __init__(self, operators: Sequence[str] = ("dilation:1",), weight: float = 0.01) -> None:
        super().__init__()
        if isinstance(operators, str) or not operators:
            raise InputError(f"approximation.operators must be a list, as in [dilation:1]; got {operators!r}")
        self.applied: tuple[Operator, ...] = tuple(read_operator(str(text)) for text in operators)
        self.operators = [each.text for each in self.applied]  # a checkpoint needs no file of a footprint
        self.register_buffer("weight", torch.tensor(real("approximation.weight", weight, low=0)))
        self.gains = nn.Parameter(torch.ones(len(self.applied)))

    def gain(self, operator: Operator) -> float:
        return max(self.gains[self.applied.index(operator)].item(), 0.0) if operator in self.applied else 1.0

    def forward(self, model: Representation, code: Tensor, images: Tensor, operated: Tensor | None = None) -> Tensor:
        if operated is None:
            operated = operate(images, self.applied)
        errors = [
            F.mse_loss(gain * model.render(code, each), target)
            for gain, each, target in zip(self.gains, self.applied, operated.unbind(1), strict=True)
        ]
        return self.weight / len(errors) * reduce(torch.add, errors)  # faster than torch.stack for one error


class Overlap(Approximation):
    r"""Trains towards atoms that do not overlap: the maximum of such weighted atoms is their sum.

    .. math:: \omega \cdot \frac{1}{P} \sum_{j \ne l} \mathbb{E}[\, |h_j h_l| \,] \; \langle |w_j|, |w_l| \rangle

    the product of each two weighted atoms, mean over images and the P values of an image. It is 0 where no two atoms
    that an image uses share a pixel.

    Args:
        weight: omega, in the loss, at least 0.

    Raises:
        InputError: if the weight is out of range.

    Source: suggested, without a formula, by Ponchon (2018).
    """

    weight: Tensor

    def __init__(self, weight: float = 0.001) -> None:
        super().__init__()
        self.register_buffer("weight", torch.tensor(real("approximation.weight", weight, low=0)))

    def forward(self, model: Representation, code: Tensor, images: Tensor, operated: Tensor | None = None) -> Tensor:
        code, atoms = code.abs(), model.atoms.flatten(1).abs()
        together = (code.T @ code) * (atoms @ atoms.T) / len(code)  # (K, K)
        return self.weight * (together.sum() - together.diagonal().sum()) / atoms.shape[1]


class NoApproximation(Approximation):
    """No training towards the max-approximation."""

    def forward(self, model: Representation, code: Tensor, images: Tensor, operated: Tensor | None = None) -> Tensor:
        return code.new_zeros(())
