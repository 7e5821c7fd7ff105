"""The jobs of a multirun, trained as stacks: ``hydra/launcher=stacked``.

First every job that can be stacked is trained in company, up to its last checkpoint; then every job is run as it would
be alone, which finds the checkpoint and has only to test the model. A job that cannot be stacked is trained there.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, configure_log, setup_globals
from hydra.core.utils import run_job as run_hydra_job
from hydra.types import HydraContext, TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from partae.checks import InputError, whole
from partae.constraint import Constraint
from partae.data import DataModule
from partae.model.autoencoder import AutoEncoder
from partae.run import folder as jobs
from partae.run.build import Job, build_job
from partae.run.interruption import end_in_order
from partae.run.job import run_job
from partae.sweep.rows import write_sweep
from partae.sweep.stack import Member, Stack, reason_alone, structure
from partae.sweep.stack.memory import fitting, is_out_of_memory

# a trainer of these settings has nothing that would reach across the models of a stack
TRAINER_KEYS = {"_target_", "default_root_dir", "max_epochs", "accelerator", "devices", "deterministic", "plugins"}
TRAINER_KEYS |= {"num_sanity_val_steps", "enable_model_summary", "enable_progress_bar", "log_every_n_steps"}
TRAINER_KEYS |= {"check_val_every_n_epoch"}
SHARED = ("data", "trainer", "callbacks", "constraint", "logger")
WORTH_COMPILING = 5e12  # multiplications and additions of a training that take two cores about as long as compiling


@dataclass
class Entry:
    """A job that may be stacked: its folder, its configuration with all references resolved, and as it was written."""

    folder: Path
    cfg: DictConfig
    shared: str
    max_epochs: int


def launch(
    job_overrides: Sequence[Sequence[str]],
    initial_job_idx: int,
    max_size: int | None,
    compiled: bool | None,
    *,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    config: DictConfig,
) -> Sequence[JobReturn]:
    """Train and test the jobs of ``job_overrides``; what Hydra asks of a launcher."""
    setup_globals()
    end_in_order()
    sweep = Path(str(config.hydra.sweep.dir))
    enlisted = []
    for number, overrides in enumerate(job_overrides, initial_job_idx):
        job_config = hydra_context.config_loader.load_sweep_config(config, list(overrides))
        with open_dict(job_config):
            job_config.hydra.job.id = job_config.hydra.job.num = number
        # without Hydra's callbacks: the job itself comes later
        context = HydraContext(config_loader=hydra_context.config_loader, callbacks=Callbacks())
        told = run_hydra_job(
            enlist, job_config, "hydra.sweep.dir", "hydra.sweep.subdir", context, configure_logging=False
        )
        if told.status.name == "COMPLETED" and told.return_value:  # what failed will fail again, and say so
            enlisted.append(cast("Entry", told.return_value))
    write_sweep(sweep)
    configure_log(config.hydra.job_logging, config.hydra.verbose)  # Lightning is as quiet as in a job
    errors: dict[Path, InputError] = {}
    if max_size is not None:
        max_size = whole("hydra.launcher.max_size", max_size)
    for group in grouped(enlisted):
        errors |= train_stacks(group, max_size, compiled)

    def tested_or_failed(cfg: DictConfig) -> Any:
        folder = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
        if error := errors.get(folder):
            return run_job(raising(error), cfg, folder).get(cfg.metric)
        return task_function(cfg)

    ordinary = BasicLauncher()
    ordinary.setup(hydra_context=hydra_context, task_function=tested_or_failed, config=config)
    return ordinary.launch(job_overrides, initial_job_idx)


def raising(error: Exception) -> Callable[[DictConfig, Path], dict[str, float]]:
    """A training that ends with ``error``."""

    def train(*_: Any) -> dict[str, float]:
        raise error

    return train


def enlist(cfg: DictConfig) -> Entry | None:
    """Begin the job that Hydra is at, if it is not finished."""
    hydra = HydraConfig.get()
    folder = Path(os.path.relpath(hydra.runtime.output_dir))
    if jobs.is_finished(folder):
        return None
    jobs.begin(cfg, hydra, folder)
    shared = json.dumps([OmegaConf.to_container(cfg[group]) for group in SHARED])
    resolved = OmegaConf.create(cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=True)))
    return Entry(folder, resolved, shared, cfg.trainer.max_epochs)


def grouped(enlisted: list[Entry]) -> list[list[Entry]]:
    """The jobs of each stack; one that has to run alone is in none, and a line says why."""
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for job in enlisted:
        try:
            made = build_job(job.cfg, job.folder)
            reason = reason_alone(made.model, made.callbacks, made.constraints)
            reason = reason or _trainer_alone(job) or _logger_alone(made)
            shape = "" if reason else structure(cast("AutoEncoder", made.model))
        except Exception:  # noqa: S112 - whatever it is, the job meets it again when it runs, and reports it
            continue
        if reason:
            print(f"{job.folder.name} runs alone: {reason}", file=sys.stderr)
            continue
        epoch = made.start["epoch"] + 1 if made.start else 0
        if epoch < job.max_epochs:
            groups.setdefault((shape, job.shared, epoch), []).append(job)
    return list(groups.values())


def _logger_alone(made: Job) -> str | None:
    for logger in made.loggers:
        if not isinstance(logger, TensorBoardLogger | CSVLogger):
            return f"logger {type(logger).__name__} is not known to keep several runs of one process apart"
    return None


def _trainer_alone(job: Entry) -> str | None:
    others = sorted(set(job.cfg.trainer) - TRAINER_KEYS)
    if others:
        return f"trainer.{others[0]} is not known to leave the models of a stack to themselves"
    if not jobs.is_on_one_device(job.cfg.trainer):
        return f"trainer.devices={job.cfg.trainer.devices}, and a stack trains on one"
    return None


def train_stacks(group: list[Entry], max_size: int | None, compiled: bool | None) -> dict[Path, InputError]:
    """Train jobs that can be stacked, in as many stacks as memory asks for; the errors of those that diverged."""
    errors: dict[Path, InputError] = {}
    waiting = [group]
    while waiting:
        now = group = waiting.pop(0)
        short = False
        try:
            now = group[: min(len(group), max_size or len(group), _fitting(group[0]))]
            errors |= train_stack(now, compiled)
        except Exception as error:
            short = is_out_of_memory(error) and len(now) > 1
            reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
            if not short:  # each job goes on from its last checkpoint, and meets the error again if it is its own
                print(f"A stack of {len(now)} models stopped, which run one by one now: {reason[0]}", file=sys.stderr)
        gc.collect()  # the stack and its trainer, which hold on to each other
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # what is only kept for later would not count as free
        if later := group[len(now) :]:
            waiting.insert(0, later)
        if short:
            max_size = len(now) // 2
            print(f"Memory does not hold {len(now)} models at once: stacks of {max_size} now", file=sys.stderr)
            waiting[:0] = grouped(now)
    return errors


def train_stack(group: list[Entry], compiled: bool | None) -> dict[Path, InputError]:
    """Train the jobs of ``group`` in one stack; the errors of those that diverged."""
    cfg = group[0].cfg
    data: DataModule = instantiate(cfg.data)
    data.check()
    built = [build_job(job.cfg, job.folder) for job in group]
    members = []
    for made in built:
        own = [callback for callback in made.callbacks if not isinstance(callback, ProgressBar)]
        members.append(Member(cast("AutoEncoder", made.model), made.loggers, own, made.start))
    progress = [callback for callback in built[0].callbacks if isinstance(callback, ProgressBar)]
    options = {"logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    trainer: Trainer = instantiate(cfg.trainer, callbacks=progress, **options)
    if compiled is None:
        images = group[0].max_epochs * len(data.batches("train")) * data.batch_size
        compiled = worth_compiling(members[0].model, len(group) * images)
    if len(group) > 1:
        print(f"Training {len(group)} models as one stack", file=sys.stderr)
    constraints = cast("list[Constraint]", built[0].constraints)
    stack = Stack(members, constraints, compiled=compiled and has_compiler(), batch_size=data.batch_size)
    trainer.fit(stack, data, ckpt_path=built[0].file, weights_only=True)
    return {job.folder: member.error for job, member in zip(group, members, strict=True) if member.error}


def has_compiler() -> bool:
    """Whether the C++ compiler that `torch.compile` calls is there; says so once if it is not."""
    name = os.environ.get("CXX", "g++")
    if found := shutil.which(name):
        return bool(found)
    print(f"Stacks train without being compiled, which is slower: there is no C++ compiler {name}", file=sys.stderr)
    return False


def worth_compiling(model: AutoEncoder, images: int) -> bool:
    """Whether a training that shows ``images`` to models of this kind, all in all, gains what compiling costs."""
    return 5 * images * sum(parameter.numel() for parameter in model.parameters()) > WORTH_COMPILING


def _fitting(job: Entry) -> int:
    """About how many models of this kind can be trained at once in the memory that is free; at least 1."""
    device = instantiate(job.cfg.trainer, logger=False, enable_checkpointing=False).strategy.root_device
    return fitting(build_job(job.cfg, job.folder).model, job.cfg.data.batch_size, device)
