"""The jobs of a multirun, trained as stacks: ``hydra/launcher=stacked``.

Jobs that can be stacked are built once, trained together, and tested as soon as their stack is trained, with the
objects in memory. The other jobs run alone afterwards, and are built again for that.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from hydra._internal.callbacks import Callbacks
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from hydra.core.utils import run_job as run_hydra_job
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from partae.callbacks.checkpoint import random_state
from partae.checks import whole
from partae.model.autoencoder import AutoEncoder
from partae.run.build import Job, build_job
from partae.run.interruption import end_in_order
from partae.run.job import run_job
from partae.run.run_folder import any_failed, begin, is_finished
from partae.sweep.rows import write_sweep
from partae.sweep.stack.company import Company
from partae.sweep.stack.stackable import reason_alone, structure

SHARED = ("data", "trainer", "callbacks", "constraint")  # groups in which the jobs of a stack agree


@dataclass
class StackedSweep:
    """The jobs that Hydra gives to a launcher at once.

    Args:
        overrides: of each job, by its number.
        max_size: the most models in a stack; None: as many as memory holds.
        compiled: whether stacks are compiled; None: those that train long enough.
        hydra_context: of the multirun.
        task_function: runs one job alone.
        config: of the multirun.

    Attributes:
        returns: Hydra's `JobReturn` of each job, by its number.
    """

    overrides: dict[int, Sequence[str]]
    max_size: int | None
    compiled: bool | None
    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig
    returns: dict[int, JobReturn] = field(default_factory=dict)

    def run(self) -> list[JobReturn]:
        """Train and test all jobs; a `JobReturn` for each."""
        setup_globals()
        end_in_order()
        if self.max_size is not None:
            whole("hydra.launcher.max_size", self.max_size)
        folder = Path(str(self.config.hydra.sweep.dir))
        groups = self._build(self.overrides)
        write_sweep(folder)
        while groups and not (self.config.fail_fast and any_failed(folder)):
            groups[:1] = self._train_stack(groups[0])
            gc.collect()  # the stack and its trainer refer to each other
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()  # else it would not count as free
        for number in self.overrides.keys() - self.returns.keys():
            self.returns[number] = self._call(number, self.task_function, self.hydra_context)
        return [self.returns[number] for number in self.overrides]

    def _call(self, number: int, task: TaskFunction, context: HydraContext) -> JobReturn:
        """Call ``task`` with the configuration of a job, as Hydra runs a job."""
        cfg = context.config_loader.load_sweep_config(self.config, list(self.overrides[number]))
        with open_dict(cfg):
            cfg.hydra.job.id = cfg.hydra.job.num = number
        return run_hydra_job(task, cfg, "hydra.sweep.dir", "hydra.sweep.subdir", context)

    def _build(self, numbers: Iterable[int]) -> list[dict[int, Job]]:
        """Build jobs, in groups of those that can be stacked with one another; without those that must run alone."""
        # without Hydra's callbacks: they are called once for each job, when it is tested
        context = HydraContext(self.hydra_context.config_loader, Callbacks())
        groups: dict[str, dict[int, Job]] = {}
        for number in numbers:
            built = self._call(number, build_stackable, context)
            # a job that fails here fails again when it runs alone, and reports it
            if built.status == JobStatus.COMPLETED and built.return_value:
                job, common = built.return_value
                groups.setdefault(common, {})[number] = job
        return list(groups.values())

    def _train_stack(self, group: dict[int, Job]) -> list[dict[int, Job]]:
        """Train and test the first jobs of ``group`` as one stack; the groups that are left of it."""
        numbers, again = list(group), []
        try:
            company = Company(list(group.values()), self.max_size)
            numbers = numbers[: len(company.jobs)]
            company.train(self.compiled)
        except Exception as error:
            size = len(numbers)
            if isinstance(error, torch.OutOfMemoryError | MemoryError) and size > 1:
                self.max_size = size // 2
                print(f"Memory does not hold {size} models: stacks of {self.max_size} from now on", file=sys.stderr)
                again = self._build(numbers)
            else:  # each job is resumed from its last checkpoint, and reports the error if it is its own
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                print(f"A stack of {size} models stopped; they run one by one: {reason}", file=sys.stderr)
        else:
            for place, number in enumerate(numbers):
                self.returns[number] = self._call(number, partial(_test, company, place), self.hydra_context)
        later = {number: job for number, job in group.items() if number not in numbers}
        return [*again, later] if later else again


def build_stackable(cfg: DictConfig) -> tuple[Job, str] | None:
    """Begin and build the job that Hydra is at.

    Args:
        cfg: of the job.

    Returns:
        The job, and a key that is equal for jobs that can share a stack. None if the job is trained already, or if it
        must run alone: then the reason is printed.
    """
    hydra = HydraConfig.get()
    folder = Path(os.path.relpath(hydra.runtime.output_dir))
    if is_finished(folder):
        return None
    begin(cfg, hydra, folder)
    job = build_job(cfg, folder)
    job.random = random_state(job.trainer.strategy.root_device)
    if reason := reason_alone(job):
        print(f"{folder.name} runs alone: {reason}", file=sys.stderr)
        return None
    epoch = job.start["epoch"] + 1 if job.start else 0
    if epoch >= cfg.trainer.max_epochs:
        return None
    shared = json.dumps([OmegaConf.to_container(cfg[group], resolve=True) for group in SHARED])
    shared = shared.replace(json.dumps(hydra.runtime.output_dir)[1:-1], "")  # each job has its own folder there
    return job, json.dumps([shared, structure(cast("AutoEncoder", job.model)), epoch])


def _test(company: Company, place: int, cfg: DictConfig) -> Any:
    """The swept metric of a job that was trained in company; None if it failed."""
    return run_job(cfg, company.jobs[place].folder, train=lambda *_: company.test(place)).get(cfg.metric)
