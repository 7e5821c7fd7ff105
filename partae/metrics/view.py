"""A batch of images as a model sees it, from which all measures, figures and pages are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from partae.morphology import Operator
from partae.representation import Representation


class View(NamedTuple):
    """A batch of images as a model sees them: each is encoded once, and operated on once by each of O operators.

    Args:
        images: (B, C, H, W).
        code: (B, K).
        reconstruction: (B, C, H, W).
        operated: the operated images, O times (B, C, H, W).
        operated_reconstruction: the same of the reconstruction.
        operated_clipped: the same of the reconstruction clipped to [0, 1].
        rendering: the raw max-approximation, O times (B, C, H, W).
        max_approximation: the same, times the model's gain for the operator and then clipped to [0, 1].
    """

    images: Tensor
    code: Tensor
    reconstruction: Tensor
    operated: Sequence[Tensor]
    operated_reconstruction: Sequence[Tensor]
    operated_clipped: Sequence[Tensor]
    rendering: Sequence[Tensor]
    max_approximation: Sequence[Tensor]


@torch.no_grad()
def view_batch(
    model: Representation,
    images: Tensor,
    operators: Sequence[Operator],
    operated: Sequence[Tensor] | None = None,
    *,
    bias: bool = False,
) -> View:
    """The `View` of ``images`` (B, C, H, W), with the ``operated`` ones where they are known."""
    code = model.encode(images)
    reconstruction = model.decode(code)
    operated_reconstruction = [each(reconstruction) for each in operators]
    rendering = [model.render(code, each, bias=bias) for each in operators]
    return View(
        images,
        code,
        reconstruction,
        [each(images) for each in operators] if operated is None else operated,
        operated_reconstruction,
        [
            raw.clip(0, 1) if each.is_increasing else each(reconstruction.clip(0, 1))
            for each, raw in zip(operators, operated_reconstruction, strict=True)
        ],
        rendering,
        [(model.gain(each, bias=bias) * raw).clip(0, 1) for each, raw in zip(operators, rendering, strict=True)],
    )
