"""A model as figures and pages show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from partae.metrics.view import View


class Portrait(NamedTuple):
    """What figures and pages show of one model.

    Args:
        atoms: (K, C, H, W).
        code: of all test images, (N, K).
        examples: some images, as the model sees them.
        measures: by their names in metrics.json.
    """

    atoms: Tensor
    code: Tensor
    examples: View
    measures: Mapping[str, float]
