"""Which images of a set: those kept for validation, and examples of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real

import torch
from torch import Tensor

from partae.checks import InputError

EXAMPLES = 10  # images that a figure shows


def check_val_size(value: float) -> float:
    """Return ``value`` if it is a number of images of at least 0, or a share of them between 0 and 1.

    Raises:
        InputError: if it is neither.
    """
    if isinstance(value, Real) and 0 < value < 1:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise InputError(f"data.val_size must be a whole number, at least 0, or a share between 0 and 1; got {value!r}")
    return int(value)


def validation_split(count: int, val_size: float, seed: int) -> dict[str, Tensor]:
    """Indices of the "train" and "val" images among ``count``, drawn with ``seed``; sets without images are left out.

    Raises:
        InputError: if no image is left to train on.
    """
    val_count = max(1, round(val_size * count)) if 0 < val_size < 1 else int(val_size)
    if val_count >= count:
        raise InputError(f"data.val_size must leave some of the {count} images; got {val_size}")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return {"train": order[val_count:]} | ({"val": order[:val_count]} if val_count else {})


def first_of_each_class(labels: Tensor, classes: Sequence[str]) -> tuple[Tensor, list[str]]:
    """Index and name of the first image of each of the first ten classes; without classes, of the first ten images."""
    if not classes:
        count = min(EXAMPLES, len(labels))
        return torch.arange(count), [str(number) for number in range(1, count + 1)]
    present = labels.unique()[:EXAMPLES].tolist()
    index = torch.stack([(labels == label).nonzero()[0, 0] for label in present])
    return index, [classes[label] for label in present]
