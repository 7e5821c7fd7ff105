"""Activations: those that have a name, each with the interval of its values, and who uses one."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from partae.activation.logistic import Logistic
from partae.checks import InputError, suggest
from partae.printed import Printed

Interval = tuple[float, float]

ANYTHING: Interval = (-math.inf, math.inf)


class NormalisedReLU(Printed):
    r"""ReLU, then each code divided by its root mean square: all codes have the length :math:`\sqrt K`.

    .. math:: y = \frac{\max(x, 0)}{\sqrt{\frac{1}{K} \sum_j \max(x_j, 0)^2}}

    Among codes of one length, the sum of the entries determines Hoyer sparsity: an L1 penalty then asks for sparsity
    only, where it would otherwise shrink the code too.

    Args:
        width: K, the number of units.

    Source, of the normalisation: Zhang and Sennrich, *Root mean square layer normalization*, NeurIPS 32 (2019).

    >>> import torch
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
        if choice not in tuple(ACTIVATIONS):
            names, group = ", ".join(ACTIVATIONS), key.replace(".", "/")
            raise InputError(
                f"{key} must be one of {names}, or with arguments a choice of {group}=; got {choice!r}"
                f"{suggest(choice, ACTIVATIONS)}"
            )
        self._name = choice
        build, interval = ACTIVATIONS[self._name]
        self.activate = build(width)
        return interval

    @property
    def activation(self) -> str | nn.Module:
        """The activation as it was chosen: a name, or else a module."""
        return self._name or self.activate
