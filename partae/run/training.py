"""The training of one job: fit its model, test it, and write the measures into its folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pytorch_lightning import Trainer

from partae.callbacks import Hyperparameters
from partae.metrics import codes, relative_l0
from partae.metrics.classification import check_svm, measure_svm
from partae.metrics.comparison import ENCODED, measure_classes, measure_cost
from partae.metrics.survey import measure_parts
from partae.run.build import Job, build_job
from partae.run.provenance import describe_device, write_machine
from partae.run.run_folder import finish, is_alone
from partae.saving.checkpoints import going_on_from


def train(cfg: DictConfig, folder: Path) -> dict[str, float]:
    """Train the job of ``cfg``, or what is left of it, test it, and write the results into ``folder``.

    Returns:
        The measures.
    """
    job, status = build_job(cfg, folder), "failed"
    try:
        fit(job)
        measures = conclude(job)
        status = "success"
        return measures
    finally:
        job.close(status)


def fit(job: Job) -> None:
    """Train the model of ``job`` from its checkpoint on, if it has one; a run alone is introduced first.

    Raises:
        InputError: if its images or its checkpoint do not fit; nothing is trained then.
    """
    job.data.check(job.trainer.world_size)
    check_svm(job.data.labels, job.cfg.svm)
    is_run = HydraConfig.initialized() and is_alone(HydraConfig.get())
    if is_run and job.trainer.is_global_zero and not job.cfg.quiet:
        print(introduction(job), flush=True)
    with going_on_from(job.file, job.trainer):
        job.trainer.fit(job.model, job.data, ckpt_path=job.file, weights_only=True)


def introduction(job: Job) -> str:
    """Three lines: the images, the model and its size, and where it trains and writes."""
    names = {"train": "training", "val": "validation", "test": "test"}
    sizes = {split: len(labels) for split, (_, labels) in {**job.data.sets, **job.data.streams}.items()}
    counts = ", ".join(f"{sizes[split]} {name}" for split, name in names.items() if split in sizes)
    shape = " x ".join(map(str, job.data.image_shape))
    count = sum(parameter.numel() for parameter in job.model.parameters())
    device = describe_device(job.trainer.strategy.root_device)
    return (
        f"Images: {getattr(job.data.source, 'dataset', type(job.data.source).__name__)}, {counts}, of {shape}\n"
        f"Model:  {type(job.model).__name__}, {len(job.model.atoms)} atoms, {count:,} parameters\n"
        f"Trains on {device}, writes to {job.folder}"
    )


def conclude(job: Job) -> dict[str, float]:
    """Test the trained model of ``job``, log and write its measures, and mark the job as finished.

    Returns:
        The measures.
    """
    cfg, model, data, trainer = job.cfg, job.model, job.data, job.trainer
    fit_seconds = {"fit_seconds": job.seconds} if cfg.comparison else {}
    if data.val_size and model.validated_step != trainer.global_step:  # the measures are of an earlier step
        trainer.validate(model, data, verbose=False)
    measures = _measures(trainer, "val/")
    if not measures and job.start:  # nothing was left to train
        measures = dict(job.start["measures"])
    model.eval()  # batch norm would learn from the images that the SVM sees
    trainer.test(model, data, verbose=False)
    measures |= _measures(trainer, "test/")
    of_codes = _measure_codes(job) if trainer.is_global_zero else {}
    measures |= {f"test/{key}": value for key, value in trainer.strategy.broadcast(of_codes).items()} | fit_seconds
    if trainer.is_global_zero:
        for callback in job.callbacks:
            if isinstance(callback, Hyperparameters):
                callback.write(trainer, measures)
        write_machine(job.folder, trainer.strategy.root_device)
        finish(job.folder, measures, job.seconds)
    return measures


def _measure_codes(job: Job) -> dict[str, float]:
    """What ``svm`` and ``comparison`` ask for: measures of the codes of all images."""
    cfg, model, data = job.cfg, job.model, job.data
    labelled = cache(lambda split: codes(model, data.batches(split, shared=False)))
    found = measure_svm(labelled, cfg.svm, cfg.seed, progress=not cfg.quiet)
    if cfg.comparison:
        code, atoms = labelled("test")[0], model.atoms.detach().cpu()
        found |= {"relative_l0": relative_l0(code, atoms).mean().item()} | measure_parts(atoms, data.source)
        found |= measure_classes(labelled, model.atoms, cfg.seed) if data.classes else {}
        found |= measure_cost(model, data.first("test", ENCODED))
    return found


def _measures(trainer: Trainer, prefix: str) -> dict[str, float]:
    return {key: value.item() for key, value in trainer.callback_metrics.items() if key.startswith(prefix)}
