"""Learning-rate schedules: progress of the training in [0, 1] -> factor of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from partae.checks import real


def by_step(schedule: Callable[[float], float], steps: int) -> Callable[[int], float]:
    """The factor of each of ``steps`` steps, counted from 0, by ``schedule``.

    >>> by_step(lambda progress: progress, 4)(0)
    0.125
    """
    return lambda step: schedule(min(1.0, (step + 0.5) / steps))


@dataclass(frozen=True)
class Constant:
    """The learning rate stays as it is."""

    def __call__(self, progress: float) -> float:
        """The factor at ``progress`` in [0, 1]: 1."""
        return 1.0


@dataclass(frozen=True)
class Cosine:
    """A linear rise to 1 over the first part of the training, then half a cosine down to 0.

    Args:
        warmup: the share of the training that the rise takes, in [0, 1).

    Raises:
        InputError: if ``warmup`` is out of range.

    Source: Loshchilov and Hutter, *SGDR: stochastic gradient descent with warm restarts* (2017), without restarts.

    >>> [round(Cosine(warmup=0.2)(progress), 3) for progress in (0.1, 0.2, 0.6, 1.0)]
    [0.5, 1.0, 0.5, 0.0]
    """

    warmup: float = 0.05

    def __post_init__(self) -> None:
        object.__setattr__(self, "warmup", real("schedule.warmup", self.warmup, low=0, high=1, high_open=True))

    def __call__(self, progress: float) -> float:
        """The factor at ``progress`` in [0, 1]."""
        if progress < self.warmup:
            return progress / self.warmup
        return 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))
