"""What the training of one job is made of, whether it trains alone or in a stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning import Callback, seed_everything
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from partae.checks import InputError, flag, one_of, random_seed, whole
from partae.metrics import Measures
from partae.metrics.classification import SVM_MEASURES
from partae.model.lightning import Measured
from partae.run import folder as jobs
from partae.saving.checkpoints import latest, make_last


@dataclass
class Job:
    """A job's model, as it is before its training, and what Lightning is given beside it.

    Attributes:
        model: as drawn.
        callbacks: all but the constraints.
        constraints: of the atoms.
        loggers: of the run; none with ``logger=none``.
        file: the checkpoint that the job goes on from, if any.
        start: what that holds.
    """

    model: Measured
    callbacks: list[Callback]
    constraints: list[Callback]
    loggers: list[Logger]
    file: Path | None
    start: Mapping[str, Any] | None


def build_job(cfg: DictConfig, folder: Path) -> Job:
    """The parts that ``cfg`` composes for a run in ``folder``; torch's random state is the job's afterwards.

    Raises:
        InputError: if a value does not fit.
    """
    seed_everything(random_seed("seed", cfg.seed), verbose=False)
    protocol = one_of("svm", cfg.svm, tuple(SVM_MEASURES))
    whole("trainer.max_epochs", cfg.trainer.max_epochs)
    if (precision := cfg.trainer.get("precision")) in ("16-true", "bf16-true"):
        raise InputError(
            f"trainer.precision={precision} is too coarse to measure a model in: choose {precision[:-5]}-mixed, which "
            "keeps the weights in single precision"
        )
    for key, beside in (("limit_val_batches", "set data.val_size=0"), ("limit_test_batches", "leave it out")):
        if cfg.trainer.get(key) == 0 and (key == "limit_test_batches" or cfg.data.get("val_size", 1)):
            raise InputError(f"trainer.{key}=0 leaves no images to measure by: {beside}")
    model: Measured = instantiate(cfg.model)
    callbacks = list(instantiate(cfg.callbacks).values())
    if all(type(part).__module__.startswith(("partae.", "pytorch_lightning.")) for part in [model, *callbacks]):
        one_of("metric", cfg.metric, _metrics(model, protocol))  # a user's own may log what it likes
    if flag("quiet", cfg.quiet):
        for bar in callbacks:
            if isinstance(bar, ProgressBar):
                bar.disable()
    file, start = latest(folder) or (None, None)
    if file and jobs.is_first_process():
        make_last(file)
    logger = instantiate(cfg.logger) or None
    if start and isinstance(logger, TensorBoardLogger):  # what was logged after the checkpoint does not count
        logger = instantiate(cfg.logger, purge_step=start["global_step"])
    loggers = [logger] if logger else []
    return Job(model, callbacks, list(instantiate(cfg.constraint).values()), loggers, file, start)


@contextmanager
def closing(loggers: Sequence[Logger]) -> Iterator[None]:
    """Close ``loggers`` when the block ends: what a logger keeps open would be the next job's too.

    Weights & Biases has one run open in a process; a second logger would write into it.
    """
    status = "failed"
    try:
        yield
        status = "success"
    finally:
        for logger in loggers:
            logger.finalize(status)
            run = getattr(logger, "_experiment", None)  # `experiment` would begin one
            if callable(finish := getattr(run, "finish", None)):
                finish()


def _metrics(model: Measured, protocol: str) -> tuple[str, ...]:
    """All that a run of ``model`` will have measured at its end, where images are kept for validation."""
    measures = Measures(1).names
    validated = [f"val/{name}" for name in (*measures, "loss", *model.terms)]
    return (*validated, *(f"test/{name}" for name in (*measures, *SVM_MEASURES[protocol])))
