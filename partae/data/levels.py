"""A check that uint8 images use the levels from 0 to 255 and not, say, 0 and 1."""

from __future__ import annotations

import torch
from torch import Tensor

from partae.checks import InputError
from partae.data.source import Stored, read

DARK = 16  # of 255
LOOKED_AT = 2000  # images
AT_ONCE = 10


def check_levels(images: Tensor | Stored, place: str, advice: str) -> None:
    """Raise if the brightest level in the first 2,000 of uint8 ``images`` (N, C, H, W) is between 1 and 16.

    Any model would have small errors on such images. No more images are read than up to the first bright one.

    Raises:
        InputError: if so; the message names ``place`` and the largest level, and ends with ``advice``, in which
            ``{largest}`` stands for that level.
    """
    largest = 0
    for index in torch.arange(min(LOOKED_AT, images.shape[0])).split(AT_ONCE):
        largest = max(largest, int(read(images, index).max()))
        if largest > DARK:
            return
    if largest:
        raise InputError(f"{place} has no value above {largest} where 255 is white: {advice.format(largest=largest)}")
