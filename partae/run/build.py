"""All that one job is made of, built once from its configuration."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar
from pytorch_lightning.loggers import Logger
from torch import Tensor

from partae.callbacks import Hyperparameters
from partae.checks import InputError, flag, one_of, random_seed, whole
from partae.data import DataModule
from partae.metrics import Measures
from partae.metrics.classification import SVM_MEASURES
from partae.metrics.comparison import OF_CLASSES, OF_COST
from partae.model.lightning import Measured
from partae.run.resolvers import build_source
from partae.run.run_folder import is_first_process
from partae.saving.checkpoints import latest, make_last

# groups whose yaml describes one object, and those whose yaml describes several by their names
ONE_CLASS: tuple[str, ...] = (
    "data",
    "corruption",
    "encoder",
    "decoder",
    "reconstruction",
    "sparsity",
    "decay",
    "approximation",
)
ONE_CLASS += ("optimizer", "schedule", "trainer", "model")
SEVERAL_CLASSES = ("callbacks", "constraint", "logger")


@dataclass
class Job:
    """A job that is built and not trained yet.

    Attributes:
        cfg: what it was built from.
        folder: where it writes.
        model: with its initial weights.
        data: its images, not loaded yet.
        trainer: with the callbacks, constraints and loggers below.
        callbacks: all but the constraints.
        constraints: of the atoms.
        loggers: none with ``logger=none``.
        file: the checkpoint from which the job is resumed, if any.
        start: the content of that checkpoint.
        started: when its building began, on the clock of `time.monotonic`.
        random: the states of torch's random generators with which its training begins, for a job of a stack.
    """

    cfg: DictConfig
    folder: Path
    model: Measured
    data: DataModule
    trainer: Trainer
    callbacks: list[Callback]
    constraints: list[Callback]
    loggers: list[Logger]
    file: Path | None
    start: Mapping[str, Any] | None
    started: float
    random: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long the run has taken so far, with the time before its checkpoint."""
        return (self.start["seconds"] if self.start else 0.0) + time.monotonic() - self.started

    def close(self, status: str) -> None:
        """Close the loggers, with "success" or "failed": an open one would receive the next job's values too.

        Weights & Biases has one run open in a process; a second logger would write into it.
        """
        for logger in self.loggers:
            logger.finalize(status)
            run = getattr(logger, "_experiment", None)  # `experiment` would begin one
            if callable(finish := getattr(run, "finish", None)):
                finish()


def build_job(cfg: DictConfig, folder: Path) -> Job:
    """Build what ``cfg`` composes for a run in ``folder``. This seeds torch's random generators for the job.

    Raises:
        InputError: if a value does not fit.
    """
    started = time.monotonic()
    _check(cfg)
    seed_everything(cfg.seed, verbose=False)
    torch.backends.cudnn.allow_tf32 = False  # on in PyTorch, it rounds what a GPU convolves to 10 bits
    model: Measured = instantiate(cfg.model)
    shows = cfg.trainer.get("enable_progress_bar", True)
    callbacks: list[Callback] = [
        each for each in instantiate(cfg.callbacks).values() if each and (shows or not isinstance(each, ProgressBar))
    ]
    # a user's own model or callback may log what it likes
    if all(type(each).__module__.startswith(("partae.", "pytorch_lightning.")) for each in [model, *callbacks]):
        known = _measures_of(model, cfg)
        check_metric(cfg.metric, known)
        if monitor := OmegaConf.select(cfg, "callbacks.early_stopping.monitor"):
            logged = [name for name in known if name.startswith("val/")]
            logged += [f"train/{name}" for name in ("loss", *model.terms)]
            one_of("callbacks.early_stopping.monitor", monitor, tuple(logged))
    for callback in callbacks:
        if isinstance(callback, Hyperparameters):
            callback.values = hyperparameters(cfg)
        if cfg.quiet and isinstance(callback, ProgressBar):
            callback.disable()
    file, start = latest(folder) or (None, None)
    if file and is_first_process():
        make_last(file)
    logger = instantiate(cfg.logger)
    loggers: list[Logger] = [logger] if isinstance(logger, Logger) else list(logger.values())
    constraints: list[Callback] = list(instantiate(cfg.constraint).values())
    source = {"source": build_source(cfg.data.source)} if "source" in cfg.data else {}
    data: DataModule = instantiate(cfg.data, **source)
    every = [*callbacks, *constraints]  # constraints last: whatever else touches the atoms, they end feasible
    # where no callback saves or shows, Lightning's own would
    saves, shows = (any(isinstance(each, kind) for each in callbacks) for kind in (ModelCheckpoint, ProgressBar))
    trainer: Trainer = instantiate(
        cfg.trainer, logger=loggers, callbacks=every, enable_checkpointing=saves, enable_progress_bar=shows
    )
    return Job(cfg, folder, model, data, trainer, callbacks, constraints, loggers, file, start, started)


class MetricError(InputError):
    """The metric that a sweeper should see is none of a run's measures."""


def check_metric(metric: str, known: Iterable[str]) -> None:
    """Raise `MetricError` unless ``metric`` is one of those that are ``known``."""
    try:
        one_of("metric", metric, tuple(known))
    except InputError as error:
        raise MetricError(str(error)) from None


def _check_classes(cfg: DictConfig) -> None:
    """Check that the settings of each part name its class: a yaml of a user's own may lack it."""
    parts = {name: cfg[name] for name in ONE_CLASS if name in cfg}
    for group in SEVERAL_CLASSES:
        if "_target_" not in cfg[group]:  # else it is one, as a logger may be
            parts |= {f"{group}.{name}": part for name, part in cfg[group].items() if part is not None}
    for name, part in parts.items():
        if not (isinstance(part, DictConfig) and "_target_" in part):
            raise InputError(
                f"the settings of {name} name no class: add _target_: <module>.<class> to its yaml; got {part}"
            )


def _check(cfg: DictConfig) -> None:
    """Check values that no constructor of partae checks."""
    _check_classes(cfg)
    random_seed("seed", cfg.seed)
    one_of("svm", cfg.svm, tuple(SVM_MEASURES))
    flag("comparison", cfg.comparison)
    flag("quiet", cfg.quiet)
    flag("fail_fast", cfg.fail_fast)
    whole("trainer.max_epochs", cfg.trainer.max_epochs)
    _check_trainer(cfg.trainer)
    monitor = str(OmegaConf.select(cfg, "callbacks.early_stopping.monitor"))
    if monitor.startswith("val/") and not cfg.data.get("val_size", 1):
        raise InputError(f"callbacks.early_stopping.monitor={monitor} needs images for it: set data.val_size above 0")
    for name in cfg.logger:
        if name in ("mlflow", "wandb") and not importlib.util.find_spec(name):
            raise InputError(f"logger={name} needs {name}: pip install 'partae[{name}]'")
    for key, advice in (("limit_val_batches", "set data.val_size=0"), ("limit_test_batches", "leave it out")):
        if cfg.trainer.get(key) == 0 and (key == "limit_test_batches" or cfg.data.get("val_size", 1)):
            raise InputError(f"trainer.{key}=0 leaves no images to measure by: {advice}")


def _check_trainer(trainer: DictConfig) -> None:
    """Check that this machine has the device, and that its precision suffices."""
    gpus = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    gpus["gpu"] = any(gpus.values())
    if not gpus.get(str(trainer.get("accelerator")), True):
        raise InputError(
            f"trainer.accelerator={trainer.accelerator}, but PyTorch finds no such device on this machine: choose "
            "cpu, or auto, which takes the best that is there"
        )
    precision = str(trainer.get("precision"))
    if precision in ("16-true", "bf16-true"):
        raise InputError(
            f"trainer.precision={precision} is too coarse to measure a model in: choose {precision[:-5]}-mixed, which "
            "keeps the weights in single precision"
        )
    on_cpu = trainer.get("accelerator") == "cpu" or not torch.accelerator.is_available()
    if on_cpu and precision in ("16", "16-mixed"):  # Lightning would take bf16-mixed instead
        raise InputError(f"trainer.precision={precision} needs a GPU: choose bf16-mixed, which a CPU takes too")


def _measures_of(model: Measured, cfg: DictConfig) -> tuple[str, ...]:
    """The names of all measures that a finished run of ``model`` may have, if images are kept for validation."""
    measures = Measures(1).names
    validated = [f"val/{name}" for name in (*measures, "loss", *model.terms)]
    compared = ("relative_l0", "part_recovery", "least_part_recovery", *OF_CLASSES, *OF_COST)
    of_codes = (*SVM_MEASURES[cfg.svm], *(compared if cfg.comparison else ()))
    return (*validated, *(f"test/{name}" for name in (*measures, *of_codes)))


def hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """The hyper-parameters of a run, texts or numbers: the class of each object in its model, and its arguments."""
    found = {"seed": cfg.seed, "latent_dim": cfg.latent_dim}
    if "optimizer" in cfg.model:
        found |= {"trainer.max_epochs": cfg.trainer.max_epochs, "data.batch_size": cfg.data.batch_size}
    model: Any = OmegaConf.to_container(cfg.model, resolve=True)
    found["model"] = _class_name(model.pop("_target_"))
    for key, value in model.items():
        is_group = OmegaConf.is_interpolation(cfg.model, key)
        found |= _texts_or_numbers(key if is_group else f"model.{key}", value)
    return found | _texts_or_numbers("constraint", OmegaConf.to_container(cfg.constraint, resolve=True))


def _texts_or_numbers(name: str, value: Any) -> dict[str, Any]:
    """A value by its name; an object's class by its name, and its arguments by dotted names."""
    if isinstance(value, dict):
        found = {name: _class_name(value["_target_"]) if "_target_" in value else ", ".join(value) or "none"}
        for key, each in value.items():
            if not key.startswith("_") and key not in ("latent_dim", "image_shape"):
                found |= _texts_or_numbers(f"{name}.{key}", each)
        return found
    if isinstance(value, list):
        return {name: f"[{', '.join(map(str, value))}]"}
    return {name: "null" if value is None else value}


def _class_name(target: str) -> str:
    return target.rpartition(".")[2]
