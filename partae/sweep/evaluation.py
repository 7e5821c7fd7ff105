"""The evaluation of trained models: each test image is read once, encoded once and operated on once per operator."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig
from torch import Tensor
from torch.backends import cudnn
from tqdm import tqdm

from partae import figures
from partae.checks import InputError, flag, one_of, random_seed, real
from partae.data import DataModule
from partae.data.datamodule import CALIBRATION
from partae.data.source import fingerprint_of
from partae.files import run_folder, write_bytes, write_json
from partae.metrics import calibrate, codes, stability
from partae.metrics.calibration import BATCH
from partae.metrics.classification import SVM_MEASURES, check_svm, measure_svm
from partae.metrics.comparison import ENCODED, measure_classes, measure_cost
from partae.metrics.survey import References, Survey, measure_dictionary, measure_parts
from partae.metrics.view import view_batch
from partae.morphology import Operator, operate, read_operator
from partae.report import Portrait, draw, render_run
from partae.representation import Representation
from partae.run.history import read_history
from partae.run.provenance import provenance_of_run
from partae.run.record import Settings, identify, keep_measures
from partae.saving.exporting import FORMATS, export
from partae.saving.loading import load
from partae.sweep.rows import evaluated_rows
from partae.sweep.selection import evaluation_folder, read_published, select
from partae.sweep.sweep_page import REPORT, write_page

FITTED = 10_000  # training images of 28 x 28 pixels that the references are fitted to; fewer of larger ones


class Options(NamedTuple):
    """What is measured, checked: the keys of conf/evaluate.yaml."""

    operators: list[Operator]
    bias: bool
    protocol: str
    seed: int
    standardised: bool | None
    comparison: bool
    l0_threshold: float
    device: str
    quiet: bool
    trust: list[str]


@dataclass
class Evaluation:
    """The results of an evaluation.

    Args:
        measures: by the name of each model, from the densest code to the sparsest.
        folder: of the figures.
        pages: to be opened in a browser.
        exports: files for other programs.
        stability: of the atoms between several models of one shape, in [-1, 1].
    """

    measures: dict[str, dict[str, float]]
    folder: Path
    pages: list[Path]
    exports: list[Path]
    stability: float | None = None


@torch.no_grad()
@cudnn.flags(enabled=True, allow_tf32=False)  # as in training
def evaluate(cfg: DictConfig) -> Evaluation:
    """Measure and draw the models that ``cfg.ckpt`` names, and write measures, figures and pages beside them."""
    options, form = _read_options(cfg), one_of("export", cfg.export, FORMATS)
    selection = select(cfg.ckpt)
    files, folder = selection.files, selection.folder
    places = {name: evaluation_folder(file) for name, file in files.items()}
    models = {name: load(file, options.trust) for name, file in files.items()}
    data = _load_data(cfg, files, models)
    check_svm(data.labels, options.protocol)
    fingerprint = fingerprint_of(data.source)
    # before gains are fitted: an export has those of the training
    exports = [file for name, model in models.items() if (file := export(model, form, places[name]))]

    measures = {}
    with tqdm(total=3 * len(models), desc="Evaluating", leave=False, disable=options.quiet) as bar:
        surveys = _survey(models, data, options, bar)
        for name, survey in surveys.items():
            identity = identify(files[name], cfg.data, fingerprint)
            measures[name] = keep_measures(places[name], identity, _measure(survey, data, options))
            bar.update()
    measures = dict(sorted(measures.items(), key=lambda item: item[1]["test/hoyer_sparsity"]))

    images, classes = data.examples("test")
    operated = operate(images, options.operators).unbind(dim=1)
    portraits = {}
    for name, values in measures.items():
        model = models[name]
        view = view_batch(model, images, options.operators, operated, bias=options.bias)
        portraits[name] = Portrait(model.atoms.detach(), surveys[name].code, view, values)
    drawn = draw(portraits, classes, options.operators)
    if len(files) == 1 and (history := read_history(run_folder(next(iter(files.values()))))):
        drawn["learning_curves"] = figures.sweep_panels(history, "step of the training", "images")
    for name, figure in drawn.items():
        figures.save(figure, folder / name)
    captions = {name.replace("_", " ").capitalize(): folder / f"{name}.png" for name in drawn}
    own = {caption: file for caption, file in captions.items() if caption != "Atoms"} if len(models) == 1 else {}
    for name, file in files.items():
        page = render_run(
            name if len(models) > 1 else "/".join(run_folder(file).resolve().parts[-2:]),
            portraits[name],
            classes,
            options.operators[0],
            partial(data.read, "test"),
            read_published(file, measures[name], data.source),
            own,
            provenance_of_run(run_folder(file)),
            options.l0_threshold,
        )
        write_bytes(places[name] / REPORT.name, page.encode())
    pages = [place / REPORT.name for place in places.values()]
    if selection.sweep:
        rows = evaluated_rows(selection.sweep, {run_folder(file).name: measures[name] for name, file in files.items()})
        known = {run_folder(file).name: portraits[name].atoms.numpy() for name, file in files.items()}
        pages = [write_page(selection.sweep, rows, known, captions, options.l0_threshold)]
    evaluation = Evaluation(measures, folder, pages, exports)
    atoms = [portrait.atoms for portrait in portraits.values()]
    if len({each.shape for each in atoms}) == 1 < len(atoms):
        pairs = list(itertools.combinations(atoms, 2))
        evaluation.stability = sum(stability(one, other).item() for one, other in pairs) / len(pairs)
        write_json(folder / "stability.json", {"stability": evaluation.stability})
    return evaluation


def _read_options(cfg: DictConfig) -> Options:
    if not isinstance(cfg.operators, ListConfig) or not cfg.operators:
        raise InputError(f"operators must be a list, for example operators=[dilation:1]; got {cfg.operators}")
    if not isinstance(cfg.trust, ListConfig):
        raise InputError(f"trust must be a list of packages, for example trust=[my_package]; got {cfg.trust}")
    accelerator = one_of("accelerator", cfg.accelerator, ("auto", "gpu", "cpu"))
    has_gpu = torch.cuda.is_available()
    if accelerator == "gpu" and not has_gpu:
        raise InputError("accelerator=gpu, but PyTorch finds no CUDA GPU here: leave it out to evaluate on the CPU")
    return Options(
        operators=[read_operator(str(text)) for text in cfg.operators],
        bias=flag("bias", cfg.bias),
        protocol=one_of("svm", cfg.svm, tuple(SVM_MEASURES)),
        seed=random_seed("seed", cfg.seed),
        standardised=None if cfg.standardised is None else flag("standardised", cfg.standardised),
        comparison=flag("comparison", cfg.comparison),
        l0_threshold=real("l0_threshold", cfg.l0_threshold, low=0),
        device="cuda" if accelerator != "cpu" and has_gpu else "cpu",
        quiet=flag("quiet", cfg.quiet),
        trust=[str(package) for package in cfg.trust],
    )


def _load_data(cfg: DictConfig, files: Mapping[str, Path], models: Mapping[str, Representation]) -> DataModule:
    """The images, loaded, if they have the shape that the models know."""
    data: DataModule = instantiate(cfg.data)
    for name, model in models.items():
        if model.atoms.shape[1:] != data.image_shape:
            raise InputError(
                f"ckpt={files[name]} knows images of shape {list(model.atoms.shape[1:])}, but data.image_shape="
                f"{list(data.image_shape)}: give the data= of its training"
            )
    data.prepare_data()
    for stage in ("fit", "test"):
        data.setup(stage)
    return data


def _survey(
    models: Mapping[str, Representation], data: DataModule, options: Options, bar: tqdm[NoReturn]
) -> dict[str, Survey]:
    """A survey of the test images for each model; they are read and operated on once for all of them."""
    operators = options.operators
    images = data.first("train", FITTED)
    operated = operate(images, operators)
    few = data.as_many(CALIBRATION)
    surveys = {}
    for name, model in models.items():
        model.to(options.device)
        code = torch.cat([model.encode(batch.to(model.atoms)) for batch in images.split(BATCH)])
        calibrate(model, images[:few], operators, operated=operated[:few], code=code[:few], bias=options.bias)
        surveys[name] = Survey(model, operators, References(model, code, operated, operators), bias=options.bias)
        bar.update()
    for batch, _ in data.batches("test"):
        shared = operate(batch, operators).unbind(dim=1)
        for survey in surveys.values():
            survey.update(batch, shared)
    bar.update(len(models))
    return surveys


def _measure(survey: Survey, data: DataModule, options: Options) -> dict[str, tuple[float, Settings]]:
    """The measures of one model by their names in metrics.json, each with the settings that it was measured by."""
    code = survey.code

    @cache
    def labelled(split: str) -> tuple[Tensor, Tensor]:
        return codes(survey.model, data.batches("train")) if split == "train" else (code, data.labels("test"))

    svm = measure_svm(labelled, options.protocol, options.seed, options.standardised, progress=not options.quiet)
    classes, cost = {}, {}
    if options.comparison:
        classes = measure_classes(labelled, survey.model.atoms, options.seed) if data.classes else {}
        cost = measure_cost(survey.model, data.first("test", ENCODED))
    atoms = survey.model.cpu().atoms.detach()
    groups: list[tuple[Mapping[str, Any], Settings]] = [
        (survey.measures.compute(), {"bias": options.bias}),
        (survey.references.compute(), {"fitted_to": survey.references.count}),
        ({"explained_variance": survey.variance.compute()}, {}),
        (measure_dictionary(atoms, code, options.l0_threshold), {"l0_threshold": options.l0_threshold}),
        (measure_parts(atoms, data.source), {}),
        (svm, {"svm": options.protocol, "seed": options.seed, "standardised": options.standardised}),
        (classes, {"seed": options.seed}),
        (cost, {"device": options.device}),
    ]
    return {f"test/{key}": (float(value), by) for each, by in groups for key, value in each.items()}
