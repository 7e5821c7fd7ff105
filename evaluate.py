"""Measure and draw trained models on the test images.

``python evaluate.py ckpt=<checkpoint, run folder or sweep folder>``, or several: ``ckpt=[<one>,<other>]``,
with names for the figures: ``'ckpt={first model: <one>, second model: <other>}'``.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig
from tqdm import tqdm

from partae import figures
from partae.checks import InputError, flag, one_of, random_seed, real
from partae.data import DataModule
from partae.data.source import fingerprint_of
from partae.files import run_folder, write_bytes, write_json
from partae.metrics import calibrate, measure, measure_dictionary, measure_parts, measure_references, stability
from partae.metrics.measures import SVM_MEASURES, check_svm, measure_svm
from partae.morphology import operator
from partae.report import drawings, run_page, table, verdicts, verdicts_of_runs
from partae.run.command_line import as_trained
from partae.run.messages import explained, run
from partae.run.record import record, subject
from partae.saving.exporting import FORMATS, export
from partae.saving.loading import load
from partae.sweep.rows import SHOWN, read_sweep
from partae.sweep.selection import chosen, evaluation_folder, published_beside
from partae.sweep.sweep_page import REPORT, write_page

FITTED = 10_000  # training images of 28 x 28 pixels that the references are fitted to; fewer of larger ones
CONF = str(Path(__file__).with_name("conf").resolve())


@dataclass
class Evaluation:
    """What came of an evaluation.

    Args:
        measures: by the name of each model, from the densest code to the sparsest.
        folder: of the figures.
        pages: to be opened in a browser.
        exports: what other programs read.
        stability: of the atoms between several models of one shape, in [-1, 1].
    """

    measures: dict[str, dict[str, float]]
    folder: Path
    pages: list[Path]
    exports: list[Path]
    stability: float | None = None


def evaluate(cfg: DictConfig) -> Evaluation:
    """Measure and draw the models that ``cfg.ckpt`` stands for, and write all of it beside them."""
    if not isinstance(cfg.operators, ListConfig) or not cfg.operators:
        raise InputError(f"operators must be a list, for example operators=[dilation:1]; got {cfg.operators}")
    operators = [operator(str(text)) for text in cfg.operators]
    protocol = one_of("svm", cfg.svm, tuple(SVM_MEASURES))
    standardised = None if cfg.standardised is None else flag("standardised", cfg.standardised)
    bias, seed = flag("bias", cfg.bias), random_seed("seed", cfg.seed)
    l0_threshold = real("l0_threshold", cfg.l0_threshold, low=0)
    quiet = flag("quiet", cfg.quiet)
    accelerator = one_of("accelerator", cfg.accelerator, ("auto", "cpu"))
    form = one_of("export", cfg.export, FORMATS)
    ckpt = chosen(cfg.ckpt)
    places = {name: evaluation_folder(file) for name, file in ckpt.files.items()}
    models = {name: load(file) for name, file in ckpt.files.items()}
    data: DataModule = instantiate(cfg.data)
    for name, model in models.items():
        if model.atoms.shape[1:] != data.image_shape:
            raise InputError(
                f"ckpt={ckpt.files[name]} knows images of shape {list(model.atoms.shape[1:])}, but data.image_shape="
                f"{list(data.image_shape)}: give the data= of its training"
            )
    data.prepare_data()
    for stage in ("fit", "test"):
        data.setup(stage)
    check_svm(data.labels, protocol)
    training, operated = data.calibration(operators)
    known = fingerprint_of(data.source)

    measures: dict[str, dict[str, float]] = {}
    exports = []
    device = "cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu"
    bar = tqdm(total=3 * len(models), desc="Evaluating", leave=False, disable=quiet)
    for name, model in models.items():
        model.to(device)
        if file := export(model, form, places[name]):  # with the gains of its training
            exports.append(file)
        calibrate(model, training, operators, operated=operated, bias=bias)
        found: list[tuple[dict[str, float], dict[str, Any]]] = []  # measures, and by what
        found.append((measure(model, data.batches("test"), operators, bias=bias), {"bias": bias}))
        images = data.first("train", FITTED)
        found.append((measure_references(model, images, data.batches("test"), operators), {"fitted_to": len(images)}))
        bar.update()
        found.append((measure_dictionary(model, data.batches("test"), l0_threshold), {"l0_threshold": l0_threshold}))
        parts, ignored = getattr(data.source, "parts", None), getattr(data.source, "ignored", None)
        found.append((measure_parts(model, parts, ignored), {}))
        svm = measure_svm(model, data.batches, protocol, seed, standardised, progress=not quiet)
        found.append((svm, {"svm": protocol, "seed": seed, "standardised": standardised}))
        bar.update()
        model.cpu()
        values = {f"test/{key}": value for each, _ in found for key, value in each.items()}
        settings = {f"test/{key}": by for each, by in found for key in each}
        measures[name] = record(places[name], subject(ckpt.files[name], cfg.data, known), values, settings)
    order = sorted(models, key=lambda name: measures[name]["test/hoyer_sparsity"])
    measures = {name: measures[name] for name in order}

    drawn = drawings({name: models[name] for name in order}, data, operators, bias=bias)
    for name, figure in drawn.items():
        figures.save(figure, ckpt.folder / name)
    captions = {name.replace("_", " ").capitalize(): ckpt.folder / f"{name}.png" for name in drawn}
    images, classes = data.examples("test")
    for name, model in models.items():
        page = run_page(
            name if len(models) > 1 else "/".join(run_folder(ckpt.files[name]).resolve().parts[-2:]),
            model,
            data.batches("test"),
            dict(zip(classes, images, strict=True)),
            operators[0],
            measures[name],
            published_beside(ckpt.files[name], measures[name]),
            {caption: file for caption, file in captions.items() if caption != "Atoms"} if len(models) == 1 else {},
            l0_threshold,
            bias=bias,
        )
        write_bytes(places[name] / REPORT.name, page.encode())
        bar.update()
    bar.close()
    pages = [place / REPORT.name for place in places.values()]
    if ckpt.sweep:
        rows = {str(row["folder"]): row for row in read_sweep(ckpt.sweep)}
        for name, file in ckpt.files.items():
            job = run_folder(file).name
            rows[job] = {**rows.get(job, {"folder": job, "status": "finished"}), **measures[name]}
        pages = [write_page(ckpt.sweep, list(rows.values()), captions, l0_threshold)]
    evaluation = Evaluation(measures, ckpt.folder, pages, exports)
    if len({model.atoms.shape for model in models.values()}) == 1 < len(models):
        pairs = list(itertools.combinations([model.atoms for model in models.values()], 2))
        evaluation.stability = sum(stability(one, other).item() for one, other in pairs) / len(pairs)
        write_json(ckpt.folder / "stability.json", {"stability": evaluation.stability})
    return evaluation


@hydra.main(version_base="1.3", config_path=CONF, config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Evaluate, and say what came of it."""
    with explained(alone=True):
        found = evaluate(cfg)
    if len(found.measures) == 1:
        (only,) = found.measures.values()
        print(table([{"test images": key.removeprefix("test/"), "value": value} for key, value in only.items()]))
        print("\n" + "\n".join(verdicts(only)))
    else:
        keys = {f"test/{name}": name.replace("max_approximation_error_", "..._") for name in SHOWN}
        rows = [{keys[key]: value for key, value in each.items() if key in keys} for each in found.measures.values()]
        print(table([{"model": name, **row} for name, row in zip(found.measures, rows, strict=True)]))
        print("\n" + "\n".join(verdicts_of_runs(list(found.measures.values()))))
    if found.stability is not None:
        print(f"\nStability of the atoms between these models, in [-1, 1]: {found.stability:.3f} (1: the same atoms)")
    print(f"\nMeasures and figures written to {found.folder}. Open in a browser")
    for page in found.pages:
        print(f"  {page}")
    if found.exports:
        print(f"Exported to {', '.join(map(str, found.exports))}")


def command() -> None:
    """What the installed package calls."""
    run(main, as_trained)


if __name__ == "__main__":
    command()
