"""Where Hydra finds ``hydra/launcher=stacked``: it loads launchers from this namespace only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher


class StackedLauncher(Launcher):
    """Trains the jobs of a multirun as stacks, where they can be stacked; see `partae.sweep.stack.launcher`.

    Args:
        max_size: the most models in a stack; null: as many as memory holds.
        compiled: whether a stack is compiled; null: one that trains long enough.
    """

    def __init__(self, max_size: int | None = None, compiled: bool | None = None) -> None:
        self.max_size, self.compiled = max_size, compiled

    def setup(self, **context: Any) -> None:
        self.context = context

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        # Hydra imports this module whatever it runs: only a sweep of stacks loads torch
        from partae.sweep.stack.launcher import StackedSweep

        overrides = dict(enumerate(job_overrides, initial_job_idx))
        return StackedSweep(overrides, self.max_size, self.compiled, **self.context).run()
