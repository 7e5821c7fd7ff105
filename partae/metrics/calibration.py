"""One gain an operator: a factor that makes up for atoms that overlap and so add up to too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from partae.checks import InputError, check_floats, one_of, real
from partae.morphology import OPERATORS, Array, Operator, operate, read_operators
from partae.representation import Representation, as_tensor, check_images, gain_name

ITERATIONS = 50
BATCH = 500  # images that are encoded or rendered at once


def best_gain(rendering: Tensor, images: Tensor) -> float:
    r"""The gain of a small squared error, of renderings and images in [0, 1] of one shape: a number of at least 0.

    .. math:: \arg\min_{g \ge 0} \sum_i \big( \min(1, \max(0, g \, r_i)) - y_i \big)^2

    Without the upper bound it is a ratio, :math:`\sum r y / \sum r^2` over the positive :math:`r`. Pixels that it
    carries past 1 no longer count: the ratio over the others is larger, and so on, until no pixel is left out. That is
    the first minimum from below; there can be others, so the gain 1 is kept where it is as good.

    The gain is 1 for a rendering without a positive pixel.

    >>> best_gain(torch.tensor([0.5, 1.0, 4.0]), torch.tensor([0.25, 0.5, 1.0]))
    0.5
    """
    kind = torch.promote_types(rendering.dtype, torch.float32)  # sums in half precision overflow
    rendering, images = rendering.to(kind), images.to(kind)
    below, gain, last = rendering > 0, 1.0, -1.0
    for _ in range(ITERATIONS):
        kept = torch.where(below, rendering, 0)
        squares = kept.square().sum()
        if squares == 0:
            break
        gain = ((kept * images).sum() / squares).item()
        if gain == last:
            break
        below, last = (rendering > 0) & (gain * rendering < 1), gain
    errors = {each: ((each * rendering).clip(0, 1) - images).square().sum().item() for each in (1.0, gain)}
    return gain if errors[gain] < errors[1.0] else 1.0


@torch.no_grad()
def calibrate(
    model: Representation,
    images: Array,
    operators: Sequence[Operator | str],
    *,
    operated: Tensor | None = None,
    code: Tensor | None = None,
    bias: bool = False,
) -> dict[str, float]:
    """Fit the gain of each operator, which `Representation.max_approximation` takes from then on, of the same ``bias``.

    Args:
        model: any representation.
        images: of its training, (B, C, H, W) in [0, 1]; never those that it is measured on. Some 2,000 do.
        operators: to approximate; a text stands for one, too, as "dilation:1".
        operated: the operated images, (B, O, C, H, W), where they are known.
        code: of the images, (B, K), where it is known.
        bias: whether the operators are applied to the bias too.

    Returns:
        The gains of these operators, by their names, as in ``{"dilation:1": 0.9}``; the model keeps them in ``gains``.

    Raises:
        InputError: if there are no images, or they are whole numbers, not in [0, 1] or of another shape than the atoms.
    """
    chosen = read_operators(operators)
    check_floats("calibrate", images)
    given = as_tensor(images).to(model.atoms)
    check_images("calibrate", given, model.atoms.shape[1:])
    if not len(given):
        raise InputError("calibrate needs at least one image; got none")
    training = model.training
    model.eval()  # batch norm would learn from them
    if code is None:
        code = torch.cat([model._encode(batch) for batch in given.split(BATCH)])
    fitted = {}
    for index, each in enumerate(chosen):
        rendering = torch.cat([model.render(batch, each, bias=bias) for batch in code.split(BATCH)])
        expected = operate(given, [each])[:, 0] if operated is None else operated[:, index]
        fitted[str(each)] = model.gains[gain_name(each, bias=bias)] = best_gain(rendering, expected.to(rendering))
    model.train(training)
    return fitted


def check_gains(gains: object) -> dict[str, float]:
    """Return ``gains`` if they are what `calibrate` keeps: numbers of at least 0, by names of operators.

    Raises:
        InputError: if they are not.
    """
    if not isinstance(gains, Mapping):
        raise InputError(f"gains must be numbers by operator; got a {type(gains).__name__}")
    for name in gains:
        one_of("the operator of a gain", str(name).partition(":")[0], tuple(OPERATORS))
    return {str(name): real(f"the gain of {name}", gain, low=0) for name, gain in gains.items()}
