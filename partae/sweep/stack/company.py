"""Jobs of a sweep that are trained as one stack, and then tested one by one."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import cast

from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import Logger

from partae.constraint import Constraint
from partae.metrics.classification import check_svm
from partae.model.autoencoder import AutoEncoder
from partae.run.build import Job
from partae.run.training import conclude
from partae.sweep.stack.lockstep import Stack
from partae.sweep.stack.member import Member
from partae.sweep.stack.memory import largest_stack

WORTH_COMPILING = 5e12  # multiplications and additions of a training that take two cores about as long as compiling


class Company:
    """The first jobs of a group, as many as memory holds, as one stack on shared images.

    Args:
        group: jobs that can share a stack.
        max_size: the most jobs; None: as many as memory holds.

    Raises:
        InputError: if the images cannot be used for the training or for the SVM.
    """

    def __init__(self, group: Sequence[Job], max_size: int | None = None) -> None:
        first = group[0]
        self.data, self.trainer = first.data, first.trainer
        self.trainer.num_sanity_val_steps = 0  # a stack is validated after it was trained only
        self.data.check()
        for protocol in {job.cfg.svm for job in group}:
            check_svm(self.data.labels, protocol)
        most = largest_stack(first.model, self.data.batch_size, self.trainer.strategy.root_device)
        self.jobs = group[: min(most, max_size or most)]
        self.members = []
        for job in self.jobs:
            callbacks = [callback for callback in job.callbacks if not isinstance(callback, ProgressBar)]
            member = Member(cast("AutoEncoder", job.model), job.loggers, callbacks, job.start or {}, job.random)
            self.members.append(member)

    def train(self, compiled: bool | None = None) -> None:
        """Train all members, each up to its last checkpoint.

        Args:
            compiled: whether the stack is compiled; None: if it trains long enough.
        """
        started, first, trainer = time.monotonic(), self.jobs[0], self.trainer
        if compiled is None:
            images = (trainer.max_epochs or 0) * len(self.data.batches("train")) * self.data.batch_size
            compiled = is_worth_compiling(self.members[0].model, len(self.members) * images)
        if len(self.members) > 1:
            print(f"Training {len(self.members)} models as one stack", file=sys.stderr)
        constraints = cast("list[Constraint]", first.constraints)
        stack = Stack(self.members, constraints, compiled=compiled, batch_size=self.data.batch_size)
        self._use([], [callback for callback in first.callbacks if isinstance(callback, ProgressBar)])
        trainer.fit(stack, self.data)
        for job, member in zip(self.jobs, self.members, strict=True):
            # now the job stands where its last checkpoint is
            measures = {name: value.item() for name, value in member.metrics.items() if name.startswith("val/")}
            seconds = member.start.get("seconds", 0.0) + time.monotonic() - started
            job.start = {"measures": measures, "seconds": seconds}

    def test(self, place: int) -> dict[str, float]:
        """Test a member after the training, and write all that was measured into its folder; the measures.

        Raises:
            InputError: if its training diverged.
        """
        job, status = self.jobs[place], "failed"
        try:
            if error := self.members[place].error:
                raise error
            job.data, job.trainer, job.started = self.data, self.trainer, time.monotonic()
            self._use(job.loggers, [*job.callbacks, *job.constraints])
            measures = conclude(job)
            status = "success"
            return measures
        finally:
            job.close(status)

    def _use(self, loggers: list[Logger], callbacks: list[Callback]) -> None:
        """Replace the trainer's loggers and callbacks."""
        self.trainer.loggers, self.trainer.callbacks = loggers, callbacks  # type: ignore[attr-defined]


def is_worth_compiling(model: AutoEncoder, images: int) -> bool:
    """Whether a training that shows so many ``images`` to models like this one, all in all, gains by compiling."""
    return 5 * images * sum(parameter.numel() for parameter in model.parameters()) > WORTH_COMPILING
