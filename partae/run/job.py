"""Train, resume or skip one job. In a sweep, its failure does not stop the others."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from partae.checks import InputError
from partae.run.build import MetricError, check_metric
from partae.run.hints import resume_line
from partae.run.interruption import end_in_order, print_if_interrupted
from partae.run.messages import Stop, stop_on_error
from partae.run.run_folder import (
    any_failed,
    begin,
    fail,
    failure,
    is_alone,
    is_finished,
    is_grid,
    is_on_one_device,
    measures_of,
)
from partae.run.settings import resolve_overrides
from partae.run.training import train

# Lightning 2.6 calls a function that torch 2.14 deprecates; the process of every job imports this module
warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
# it takes our order of the images for a shuffled one
warnings.filterwarnings("ignore", message="You requested to overfit")

Train = Callable[[DictConfig, Path], dict[str, float]]


def run_job(cfg: DictConfig, folder: Path, train: Train = train) -> dict[str, float]:
    """Train what ``cfg`` composes in ``folder``, unless that is done; the measures.

    In a sweep an error is written to ``error.txt`` and not raised, since the launcher would stop at it. The job has no
    measures then. After an error, with ``fail_fast=true``, no other job starts. A search whose first runs lack its
    metric is stopped.

    Args:
        cfg: the composed configuration.
        folder: of the job.
        train: writes the measures of the job into its folder and returns them; a stack has its own.
    """
    hydra = HydraConfig.get()
    end_in_order()
    with _restore_process():
        if is_alone(hydra):
            again = resume_line(folder, resolve_overrides(cfg, hydra))
            with stop_on_error(folder), print_if_interrupted(f"Interrupted. To resume, type\n\n  {again}\n"):
                return _measures(cfg, hydra, folder, train)
        if cfg.fail_fast and any_failed(folder.parent):
            return {}
        try:
            return _measures(cfg, hydra, folder, train)
        except Exception as error:
            fail(folder, error)
            is_first = not any(map(is_finished, folder.parent.iterdir()))
            if isinstance(error, MetricError) and is_first and not is_grid(hydra):
                raise Stop(str(error)) from error
            print(f"{folder.name} failed: {failure(folder)}", file=sys.stderr)
            return {}


@contextmanager
def _restore_process() -> Iterator[None]:
    """Undo what a training sets in its process, which the next job would find there."""
    environment = dict(os.environ)
    deterministic = torch.get_deterministic_debug_mode()
    precision, dtype = torch.get_float32_matmul_precision(), torch.get_default_dtype()
    benchmark, tf32 = torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        torch.set_deterministic_debug_mode(deterministic)
        torch.set_float32_matmul_precision(precision)
        torch.set_default_dtype(dtype)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = benchmark, tf32


def _measures(cfg: DictConfig, hydra: HydraConf, folder: Path, train: Train) -> dict[str, float]:
    if is_alone(hydra):
        if not cfg.resume:
            _check_alone(hydra)
    elif not is_on_one_device(cfg.trainer):
        raise InputError(
            "a sweep trains each model on one device: leave out -m, or trainer=ddp and trainer.devices="
            f"{cfg.trainer.get('devices', 'auto')}"
        )
    begin(cfg, hydra, folder)
    is_unmeasured = not cfg.data.get("val_size", 1) and str(cfg.metric).startswith("val/")
    if is_unmeasured and not is_grid(hydra):
        raise MetricError(f"a search for the best metric={cfg.metric} needs images for it: set data.val_size above 0")
    if not is_finished(folder):
        measures = train(cfg, folder)
    else:
        measures = measures_of(folder)
        if is_alone(hydra):
            print(f"{folder} is finished already: nothing is trained")
    if not is_unmeasured:
        check_metric(cfg.metric, measures)
    return measures


def _check_alone(hydra: HydraConf) -> None:
    """Check that a run alone was not meant to be a sweep."""
    task, hydras = (
        cast("list[str]", OmegaConf.to_container(cast("Any", each)))
        for each in (hydra.overrides.task, hydra.overrides.hydra)
    )
    given = [f"{text.partition('=')[0].lstrip('+~')}." for text in task]  # or a group, of which the key is a part
    params = [key.lstrip("+") for key in hydra.sweeper.get("params") or {}]
    if varied := [key for key in params if not any(f"{key}.".startswith(each) for each in given)]:
        raise InputError(
            f"this is a sweep over {', '.join(varied)}: add -m to train all its models, or give each of "
            "these keys a value"
        )
    for text in hydras:
        if re.match(r"\+*hydra[./](launcher|sweeper(?!\.params)|sweep)\b", text):
            raise InputError(f"{text} concerns sweeps only: add -m for a sweep, or leave it out")
