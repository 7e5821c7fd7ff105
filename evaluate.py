"""Measure and draw trained models on the test images.

``python evaluate.py ckpt=<checkpoint, run folder or sweep folder>``, or several: ``ckpt=[<one>,<other>]``.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import hydra
import torch
from hydra.utils import instantiate
from matplotlib.figure import Figure
from omegaconf import DictConfig, ListConfig

from partae import figures
from partae.checks import InputError, one_of, real, whole
from partae.data import DataModule
from partae.files import write_json
from partae.loading import checkpoint_file, load, run_folder, run_folders
from partae.metrics import codes, measure, measure_dictionary, stability, svm_accuracy_quick, svm_accuracy_report
from partae.morphology import Operator, operator
from partae.report import table
from partae.representation import Representation
from partae.sweep import explained

SHOWN = ("reconstruction_error", "hoyer_sparsity", "max_approximation_error", "svm_accuracy", "dead_atoms")


def find(ckpt: str | ListConfig) -> tuple[dict[str, Path], Path]:
    """The checkpoints that ``ckpt`` stands for, by name, and the folder for what is drawn of all of them."""
    if isinstance(ckpt, ListConfig):
        files = [checkpoint_file(path) for path in ckpt]
        return {"/".join(run_folder(file).parts[-2:]): file for file in files}, Path("outputs/evaluation")
    runs = run_folders(ckpt)
    if runs:
        return {run.name: checkpoint_file(run) for run in runs}, Path(ckpt) / "evaluation"
    file = checkpoint_file(ckpt)
    return {"auto-encoder": file}, run_folder(file) / "evaluation"


def svm(model: Representation, data: DataModule, protocol: str, seed: int, standardised: bool) -> dict[str, float]:
    """The SVM's accuracy by the "quick" or the "report" protocol, or nothing for "none"."""
    if protocol == "none":
        return {}
    test = codes(model, data.batches("test"))
    if protocol == "quick":
        train = codes(model, data.batches("train"))
        return {"svm_accuracy": svm_accuracy_quick(*train, *test, seed=seed, standardised=standardised)}
    result = svm_accuracy_report(*test, seed=seed, standardised=standardised)
    return {"svm_accuracy": result.accuracy, "svm_accuracy_std": result.std, "svm_c": result.C}


@torch.no_grad()
def draw(models: Mapping[str, Representation], data: DataModule, operators: list[Operator]) -> dict[str, Figure]:
    """Reconstructions, code histograms, atoms and max-approximations: a row for each model, by file name."""
    images, labels = data.one_per_class("test")
    names = [data.classes[label] for label in labels.tolist()]
    code = {name: model.encode(images) for name, model in models.items()}
    reconstructions = {name: model.decode(code[name]).numpy() for name, model in models.items()}
    drawn = {
        "reconstructions": figures.image_rows({"original": images.numpy(), **reconstructions}, names),
        "code_histograms": figures.code_histograms({name: row.numpy() for name, row in code.items()}, names),
    }
    if len(models) == 1:
        (model,) = models.values()
        drawn["atoms"] = figures.atoms(model.atoms.numpy(), f"{len(model.atoms)} atoms, each on its own scale")
    else:
        strongest = {}
        for name, model in models.items():
            mass = codes(model, data.batches("test"))[0].mean(dim=0) * model.atoms.abs().flatten(1).sum(dim=1)
            strongest[name] = model.atoms[mass.argsort(descending=True)[: len(names)]].numpy()
        drawn["atoms"] = figures.atom_rows(strongest, "The atoms that add most to the test images")
    for each in operators:
        rows = {name: model.max_approximation_of_code(code[name], each).numpy() for name, model in models.items()}
        name = "max_approximations" if each == operators[0] else f"max_approximations_{each.name}_{each.radius}"
        title = f"{each.name.capitalize()} by the disk of radius {each.radius}, and its max-approximation"
        drawn[name] = figures.image_rows({f"{each.name} of the original": each(images).numpy(), **rows}, names, title)
    return drawn


def evaluate(cfg: DictConfig) -> tuple[dict[str, dict[str, float]], Path]:
    """Measure and draw what ``cfg.ckpt`` holds: each model's measures by name, and the folder of the figures."""
    operators = [operator(text) for text in cfg.operators]
    if not operators:
        raise InputError("operators must name at least one, for example operators=[dilation:1]; got []")
    protocol = one_of("svm", cfg.svm, ("none", "quick", "report"))
    seed, l0_threshold = whole("seed", cfg.seed, minimum=0), real("l0_threshold", cfg.l0_threshold, low=0)
    files, folder = find(cfg.ckpt)
    models = {name: load(file) for name, file in files.items()}
    data: DataModule = instantiate(cfg.data)
    data.prepare_data()
    for stage in ("fit", "test") if protocol == "quick" else ("test",):
        data.setup(stage)

    measures = {}
    for name, model in models.items():
        found = measure(model, data.batches("test"), operators, bias=cfg.bias)
        found |= measure_dictionary(model, data.batches("test"), l0_threshold)
        found |= svm(model, data, protocol, seed, cfg.standardised)
        measures[name] = {f"test/{key}": value for key, value in found.items()}
        write_json(run_folder(files[name]) / "evaluation" / "metrics.json", measures[name])
    order = sorted(models, key=lambda name: measures[name]["test/hoyer_sparsity"])
    for name, figure in draw({name: models[name] for name in order}, data, operators).items():
        figures.save(figure, folder / name)
    if len({model.atoms.shape for model in models.values()}) == 1 < len(models):
        pairs = itertools.combinations([model.atoms for model in models.values()], 2)
        mean = torch.stack([stability(one, other) for one, other in pairs]).mean().item()
        write_json(folder / "stability.json", {"stability": mean})
    return {name: measures[name] for name in order}, folder


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Evaluate, and say what came of it."""
    with explained():
        measures, folder = evaluate(cfg)
    if len(measures) == 1:
        (only,) = measures.values()
        print(table([{"test images": key.removeprefix("test/"), "value": value} for key, value in only.items()]))
    else:
        keys = {f"test/{name}": name for name in SHOWN}
        rows = [{keys[key]: value for key, value in found.items() if key in keys} for found in measures.values()]
        print(table([{"model": name, **row} for name, row in zip(measures, rows, strict=True)]))
    print(f"\nMeasures and figures written to {folder}")


if __name__ == "__main__":
    main()
