"""One job of a command: begun, gone on with, or skipped; alone or in a sweep, where its failure is its own."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from partae.checks import InputError
from partae.run import folder as jobs
from partae.run.command_line import resume_line
from partae.run.interruption import end_in_order, saying
from partae.run.messages import explained
from partae.sweep.rows import write_sweep

# Lightning 2.6 asks torch in a way that torch 2.14 would rather not be asked; each job's process passes here
warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")

Train = Callable[[DictConfig, Path], dict[str, float]]


def run_job(train: Train, cfg: DictConfig, folder: Path) -> dict[str, float]:
    """Train what ``cfg`` composes in ``folder``, unless that is done; the measures.

    In a sweep an error does not reach the launcher, which would stop there: it is written down for the summary, and the
    job has no measures. After one, with ``fail_fast=true``, no other job starts.
    """
    with _by_itself():
        return _run(train, cfg, folder)


@contextmanager
def _by_itself() -> Iterator[None]:
    """Leave the process as it was: what a training sets for itself there, the next one would find."""
    environment = dict(os.environ)
    deterministic = torch.get_deterministic_debug_mode()
    precision, dtype = torch.get_float32_matmul_precision(), torch.get_default_dtype()
    benchmark = torch.backends.cudnn.benchmark
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        torch.set_deterministic_debug_mode(deterministic)
        torch.set_float32_matmul_precision(precision)
        torch.set_default_dtype(dtype)
        torch.backends.cudnn.benchmark = benchmark


def _run(train: Train, cfg: DictConfig, folder: Path) -> dict[str, float]:
    hydra = HydraConfig.get()
    end_in_order()
    if jobs.is_alone(hydra):
        again = resume_line(folder, jobs.overrides(cfg, hydra))
        with explained(folder, alone=True), saying(f"Interrupted. Go on with\n\n  {again}\n"):
            return _measures(train, cfg, hydra, folder)
    if cfg.fail_fast and jobs.any_failed(folder.parent):
        return {}
    try:
        with explained(folder):
            return _measures(train, cfg, hydra, folder)
    except Exception as error:
        jobs.fail(folder, error)
        print(f"{folder.name} failed: {jobs.failure(folder)}", file=sys.stderr)
        return {}
    finally:
        write_sweep(folder.parent)


def _measures(train: Train, cfg: DictConfig, hydra: HydraConf, folder: Path) -> dict[str, float]:
    if not (jobs.is_alone(hydra) or jobs.is_on_one_device(cfg.trainer)):
        raise InputError(
            "a sweep trains each model on one device: leave out -m, or trainer=ddp and trainer.devices="
            f"{cfg.trainer.get('devices', 'auto')}"
        )
    unmeasured = not cfg.data.get("val_size", 1) and str(cfg.metric).startswith("val/")
    if unmeasured and not jobs.is_grid(hydra):
        raise InputError(f"a search for the best metric={cfg.metric} needs images for it: set data.val_size above 0")
    jobs.begin(cfg, hydra, folder)
    finished = jobs.is_finished(folder)
    if finished and jobs.is_alone(hydra):
        print(f"{folder} is finished already, and nothing is trained")
    measures = jobs.measures_of(folder) if finished else train(cfg, folder)
    if cfg.metric not in measures and not unmeasured:
        raise InputError(f"metric must be one of {', '.join(measures)}; got {cfg.metric!r}")
    return measures
