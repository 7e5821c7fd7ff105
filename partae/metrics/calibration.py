"""One gain an operator: a factor that makes up for atoms that overlap and so add up to too much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from partae.checks import InputError, real
from partae.metrics.measures import Batches, named
from partae.metrics.reconstruction import ReconstructionError
from partae.morphology import Operator, operate, operator
from partae.representation import Representation

ITERATIONS = 50
BATCH = 500  # images rendered at once


def best_gain(rendering: Tensor, images: Tensor) -> float:
    r"""The gain of the least squared error: of renderings and images of one shape, in [0, 1], a number of at least 0.

    .. math:: \arg\min_{g \ge 0} \sum_i \big( \min(1, \max(0, g \, r_i)) - y_i \big)^2

    Without the upper bound it is a ratio, :math:`\sum r y / \sum r^2` over the positive :math:`r`. Pixels that it
    carries past 1 do not count any more: the ratio over the others is larger, and so on, until no pixel is left out.

    A rendering without a positive pixel has the gain 1: none is better than another.

    >>> best_gain(torch.tensor([0.5, 1.0, 4.0]), torch.tensor([0.25, 0.5, 1.0]))
    0.5
    """
    products, squares = rendering * images, rendering.square()
    below = positive = rendering > 0
    gain, count = 1.0, -1
    for _ in range(ITERATIONS):
        if (now := int(below.sum())) in (0, count):
            break
        gain = (products[below].sum() / squares[below].sum()).item()
        below, count = positive & (gain * rendering < 1), now
    return gain if math.isfinite(gain) else 1.0


@torch.no_grad()
def calibrate(
    model: Representation,
    images: Tensor,
    operators: Sequence[Operator],
    *,
    operated: Tensor | None = None,
    bias: bool = False,
) -> dict[str, float]:
    """Fit the gain of each operator, which `Representation.max_approximation` takes from then on.

    Args:
        model: any representation.
        images: of its training, (B, C, H, W) in [0, 1]; never those that it is measured on. Some 2,000 do.
        operators: to approximate.
        operated: what the operators make of the images, (B, O, C, H, W), where that is known already.
        bias: whether the operators are applied to the bias too.

    Returns:
        The gains of these operators, by their names, as in ``{"dilation:1": 0.9}``; the model keeps them as ``gains``.
    """
    images = images.to(model.atoms)
    operated = operate(images, operators) if operated is None else operated.to(images)
    codes = [model.encode(batch) for batch in images.split(BATCH)]
    for index, each in enumerate(operators):
        rendering = torch.cat([model.render(code, each, bias=bias) for code in codes])
        model.gains[str(each)] = best_gain(rendering, operated[:, index])
    return {str(each): model.gains[str(each)] for each in operators}


@torch.no_grad()
def least_squares_error(
    model: Representation, images: Tensor, batches: Batches, operators: Sequence[Operator]
) -> dict[str, float]:
    """What the code of a model allows: the error of the linear dictionary that fits the operated images best.

    A reference for max-approximation errors, and no method: this dictionary has to be fitted anew for each operator, to
    operated images. A decoder that is not linear may do better.

    Args:
        model: any representation.
        images: of its training, to fit the dictionary and a bias to, (N, C, H, W); many more than it has atoms.
        batches: of (images, labels), to measure on.
        operators: any.

    Returns:
        ``least_squares_error`` for each operator: the `reconstruction_error`, clipped to [0, 1], against the operated
        images.
    """
    codes = _with_one(torch.cat([model.encode(batch) for batch in images.to(model.atoms).split(BATCH)]))
    inverse = torch.linalg.pinv(codes.T @ codes, hermitian=True) @ codes.T
    dictionaries = [inverse @ operate(images, [each]).to(inverse).flatten(1) for each in operators]
    errors = [ReconstructionError() for _ in operators]
    for given, _ in batches:
        batch = given.to(model.atoms)
        code = _with_one(model.encode(batch))
        for each, dictionary, error in zip(operators, dictionaries, errors, strict=True):
            error.update((code @ dictionary).clip(0, 1).view(batch.shape), each(batch).to(code))
    return {named("least_squares_error", each): e.compute().item() for each, e in zip(operators, errors, strict=True)}


def _with_one(code: Tensor) -> Tensor:
    """A code (B, K) with a last entry of 1 for the bias, (B, K + 1), on the CPU and in double precision."""
    return F.pad(code.cpu().double(), (0, 1), value=1.0)


def check_gains(gains: object) -> dict[str, float]:
    """Return ``gains`` if they are what `calibrate` keeps: numbers of at least 0, by names of operators.

    Raises:
        InputError: if they are not.
    """
    if not isinstance(gains, Mapping):
        raise InputError(f"gains must be numbers by operator; got a {type(gains).__name__}")
    return {str(operator(str(name))): real(f"the gain of {name}", gain, low=0) for name, gain in gains.items()}
