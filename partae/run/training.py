"""The training of one run: its model is fitted and tested, and what that measured is written into its folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.tensorboard.summary import hparams

from partae.data import DataModule
from partae.metrics import codes
from partae.metrics.classification import check_svm, measure_svm
from partae.report import verdicts
from partae.run.build import Job, build_job, closing
from partae.run.folder import finish
from partae.saving.checkpoints import going_on_from

GROUPS = ["corruption", "encoder", "decoder", "reconstruction", "sparsity", "decay", "approximation"]
GROUPS += ["optimizer", "schedule"]


def hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """What TensorBoard's HParams tab shows of a run: the class of each part of its model, and its values."""
    model = cfg.model
    shown = {"seed": cfg.seed, "latent_dim": cfg.latent_dim, "model": _class(model)}
    if "optimizer" in model:
        shown |= {"trainer.max_epochs": cfg.trainer.max_epochs, "data.batch_size": cfg.data.batch_size}
    taken = {key for key in model if OmegaConf.is_interpolation(model, str(key))}
    parts = {group: cfg[group] for group in GROUPS if group in taken}
    parts |= {f"model.{key}": part for key, part in model.items() if key not in taken | {"_target_"}}
    for name, part in {**parts, "constraint": cfg.constraint}.items():
        shown |= _shown(str(name), part)
    return shown


def _shown(name: str, value: Any) -> dict[str, Any]:
    """What tells a value apart: text or a number; of a part its class, and what is in it by dotted keys."""
    if isinstance(value, DictConfig):
        parts = {key: each for key, each in value.items() if isinstance(key, str)}
        shown = {name: _class(value) if "_target_" in value else ", ".join(parts) or "none"}
        for key, each in parts.items():
            if not key.startswith("_") and key not in ("latent_dim", "image_shape"):
                shown |= _shown(f"{name}.{key}", each)
        return shown
    if isinstance(value, ListConfig):
        return {name: f"[{', '.join(str(each) for each in value)}]"}
    return {name: "null" if value is None else value}


def _class(part: DictConfig) -> str:
    return part["_target_"].rpartition(".")[2]


def train(cfg: DictConfig, folder: Path) -> dict[str, float]:
    """Train what ``cfg`` composes, or what is left of it, test it, and write all into ``folder``; the measures."""
    started = time.monotonic()
    job = build_job(cfg, folder)
    with closing(job.loggers):
        return _train(cfg, folder, job, started)


def _train(cfg: DictConfig, folder: Path, job: Job, started: float) -> dict[str, float]:
    model, before = job.model, job.start or {"measures": {}, "seconds": 0.0}
    data: DataModule = instantiate(cfg.data)
    # constraints come last: whatever else touches the atoms after a batch, they end feasible
    trainer: Trainer = instantiate(cfg.trainer, logger=job.loggers, callbacks=[*job.callbacks, *job.constraints])
    data.check(trainer.world_size)
    check_svm(data.labels, cfg.svm)

    with going_on_from(job.file, trainer):
        trainer.fit(model, data, ckpt_path=job.file, weights_only=True)
    if data.val_size and model.validated_step != trainer.global_step:  # what is known is of an earlier step
        trainer.validate(model, data, verbose=False)
    measures = {key: value.item() for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
    measures = measures or dict(before["measures"])  # nothing was left to train
    model.eval()  # the test leaves the model as it was, and batch norm would learn from the images that the SVM sees
    trainer.test(model, data, verbose=False)
    measures |= {key: value.item() for key, value in trainer.callback_metrics.items() if key.startswith("test/")}
    svm = {}
    if trainer.is_global_zero:
        svm = measure_svm(
            lambda split: codes(model, data.batches(split, shared=False)), cfg.svm, cfg.seed, progress=not cfg.quiet
        )
    measures |= {f"test/{key}": value for key, value in trainer.strategy.broadcast(svm).items()}

    if trainer.is_global_zero:
        for logger in job.loggers:
            if isinstance(logger, TensorBoardLogger):
                conclude(logger, cfg, measures, trainer.global_step)
        finish(folder, measures, before["seconds"] + time.monotonic() - started)
    return measures


def conclude(logger: TensorBoardLogger, cfg: DictConfig, measures: dict[str, float], step: int) -> None:
    """Log what a run has measured on the test images, and its hyper-parameters."""
    logger.log_metrics({key: value for key, value in measures.items() if key.startswith("test/")}, step)
    logger.experiment.add_text("verdict", "\n\n".join(verdicts(measures)), step)
    logger.log_hyperparams(shown := hyperparameters(cfg))
    # not the list of keys, which comes first: TensorBoard would take one run's for that of all runs
    for session in hparams(shown, {})[1:]:
        logger.experiment.file_writer.add_summary(session, step)
