"""A check that uint8 images use the levels from 0 to 255 and not, say, 0 and 1."""

from __future__ import annotations

import torch
from torch import Tensor

from partae.checks import InputError
from partae.data.source import Stored

DARK = 16  # of 255, the largest level of images that are all but black
LOOKED_AT = 2000  # images in which a level above that is looked for
AT_ONCE = 10


def check_levels(images: Tensor | Stored, place: str, advice: str) -> None:
    """Raise if the first 2,000 of uint8 ``images`` (N, C, H, W) have no level above 16, and not all are black.

    Every error of such images is small, whatever the model. No more are read than the first that is bright enough.

    Raises:
        InputError: if so; the message names ``place`` and the largest level, and ends with ``advice``, in which
            ``{largest}`` stands for that level.
    """
    largest = 0
    for index in torch.arange(min(LOOKED_AT, images.shape[0])).split(AT_ONCE):
        part = images[index] if isinstance(images, Tensor) else images.read(index)
        largest = max(largest, int(part.max()))
        if largest > DARK:
            return
    if largest:
        raise InputError(f"{place} has no value above {largest} where 255 is white: {advice.format(largest=largest)}")
