"""One gain an operator: a factor that makes up for atoms that overlap and so add up to too much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from partae.checks import InputError, real
from partae.metrics.errors import ReconstructionError
from partae.metrics.measures import Batches, named
from partae.morphology import Array, Operator, operator
from partae.representation import Representation

ITERATIONS = 50
BATCH = 500  # images at once


def best_gain(rendering: Tensor, images: Tensor) -> float:
    r"""The gain of a small squared error, of renderings and images in [0, 1] of one shape: a number of at least 0.

    .. math:: \arg\min_{g \ge 0} \sum_i \big( \min(1, \max(0, g \, r_i)) - y_i \big)^2

    Without the upper bound it is a ratio, :math:`\sum r y / \sum r^2` over the positive :math:`r`. Pixels that it
    carries past 1 do not count any more: the ratio over the others is larger, and so on, until no pixel is left out.
    That is the first minimum from below; there can be others, so the gain 1 is kept where it is as good.

    A rendering without a positive pixel has the gain 1: none is better than another.

    >>> best_gain(torch.tensor([0.5, 1.0, 4.0]), torch.tensor([0.25, 0.5, 1.0]))
    0.5
    """
    kind = torch.promote_types(rendering.dtype, torch.float32)  # sums in half precision overflow
    rendering, images = rendering.to(kind), images.to(kind)
    products, squares = rendering * images, rendering.square()
    below = positive = rendering > 0
    gain, count = 1.0, -1
    for _ in range(ITERATIONS):
        if (now := int(below.sum())) in (0, count):
            break
        gain = (products[below].sum() / squares[below].sum()).item()
        below, count = positive & (gain * rendering < 1), now
    errors = {each: ((each * rendering).clip(0, 1) - images).square().sum().item() for each in (1.0, gain)}
    return gain if errors[gain] < errors[1.0] else 1.0


@torch.no_grad()
def calibrate(
    model: Representation,
    images: Array,
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

    Raises:
        InputError: if the images are whole numbers, as images in [0, 255] are.
    """
    given = torch.from_numpy(images) if isinstance(images, np.ndarray) else images
    if not given.is_floating_point():
        raise InputError(f"calibrate needs images of floats in [0, 1]; got {given.dtype}")
    training = model.training
    model.eval()  # batch norm would learn from them
    _fit(model, given.to(model.atoms), operators, operated, bias=bias)
    model.train(training)
    return {str(each): model.gains[str(each)] for each in operators}


def _fit(
    model: Representation, images: Tensor, operators: Sequence[Operator], operated: Tensor | None, *, bias: bool
) -> None:
    code = _in_batches(model.encode, images)
    for index, each in enumerate(operators):
        rendering = _in_batches(lambda part, each=each: model.render(part, each, bias=bias), code)  # type: ignore[misc]
        expected = _in_batches(each, images) if operated is None else operated[:, index].to(images)
        model.gains[str(each)] = best_gain(rendering, expected)


@torch.no_grad()
def measure_references(
    model: Representation, images: Tensor, batches: Batches, operators: Sequence[Operator]
) -> dict[str, float]:
    """What else to hold max-approximation errors against, fitted to training images as the gains are.

    Args:
        model: any representation.
        images: of its training, (N, C, H, W); many more than it has atoms.
        batches: of (images, labels), to measure on.
        operators: any.

    Returns:
        For each operator two `reconstruction_error`, clipped to [0, 1], against the operated images.
        ``operated_reconstruction_error_calibrated`` is that of the operated reconstructions, times a gain of their own.
        ``least_squares_error`` says what the code allows: it is that of the linear dictionary, with a bias, that fits
        the operated images best. It is no method, since it has to be fitted to operated images for each operator; and
        a decoder that is not linear may do better. It is left out where there are fewer than ten images an atom.
    """
    images = images.to(model.atoms)
    code = _in_batches(model.encode, images)
    reconstruction = _in_batches(model.decode, code).clip(0, 1)
    codes = _with_one(code)
    inverse = torch.linalg.pinv(codes.T @ codes, hermitian=True) @ codes.T
    gains, dictionaries = [], []
    for each in operators:
        operated = _in_batches(each, images)
        gains.append(best_gain(_in_batches(each, reconstruction), operated))
        dictionaries.append(inverse @ operated.to(inverse).flatten(1))
    calibrated, least = ([ReconstructionError().to(images.device) for _ in operators] for _ in range(2))
    for given, _ in batches:
        batch = given.to(images)
        code = model.encode(batch)
        reconstruction, with_one = model.decode(code).clip(0, 1), _with_one(code)
        for place, each in enumerate(operators):
            operated = each(batch)
            calibrated[place].update((gains[place] * each(reconstruction)).clip(0, 1), operated)
            fitted = (with_one @ dictionaries[place]).clip(0, 1).view(batch.shape).to(batch)
            least[place].update(fitted, operated)
    kinds = {"operated_reconstruction_error_calibrated": calibrated}
    if len(images) >= 10 * len(model.atoms):
        kinds["least_squares_error"] = least
    return {
        named(kind, each): error.compute().item()
        for kind, errors in kinds.items()
        for each, error in zip(operators, errors, strict=True)
    }


def _in_batches(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """What ``function`` makes of ``rows``, so many at a time that an operator does not take all memory."""
    return torch.cat([function(part) for part in rows.split(BATCH)])


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
