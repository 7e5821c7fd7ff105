"""Measure and draw trained models on the test images.

``python evaluate.py ckpt=<checkpoint, run folder or sweep folder>``, or several: ``ckpt=[<one>,<other>]``,
with names for the figures: ``'ckpt={first model: <one>, second model: <other>}'``.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import hydra
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig
from tqdm import tqdm

from partae import figures
from partae.checks import InputError, flag, one_of, random_seed, real
from partae.data import DataModule
from partae.export import FILES, FORMATS, export
from partae.files import read_yaml, write_bytes, write_json
from partae.loading import checkpoint_file, load, run_folder, run_folders
from partae.metrics import measure, measure_dictionary, measure_parts, measure_references, stability
from partae.metrics.measures import SVM_MEASURES, check_svm, measure_svm
from partae.morphology import operator
from partae.published import published_measures
from partae.report import drawings, run_page, table
from partae.sweep import as_trained, explained, run
from partae.sweep.page import PAGE, REPORT, write_page
from partae.sweep.rows import SHOWN, names, read_sweep

CONF = str(Path(__file__).with_name("conf").resolve())


def find(ckpt: str | ListConfig | DictConfig) -> tuple[dict[str, Path], Path]:
    """The checkpoints that ``ckpt`` stands for, by name, and the folder for what is drawn of all of them."""
    if isinstance(ckpt, ListConfig | DictConfig):
        if not ckpt:
            raise InputError(f"ckpt must name at least one checkpoint or run folder; got {ckpt}")
        named = ckpt if isinstance(ckpt, DictConfig) else {path: path for path in ckpt}
        return {str(name): checkpoint_file(str(path)) for name, path in named.items()}, Path("outputs/evaluation")
    if runs := run_folders(ckpt):
        rows = read_sweep(Path(ckpt))
        known = {row["folder"]: name for row, name in zip(rows, names(rows), strict=True)}
        return {known.get(run.name) or run.name: checkpoint_file(run) for run in runs}, Path(ckpt) / "evaluation"
    file = checkpoint_file(ckpt)
    return {"model": file}, evaluation_folder(file)


def is_sweep(ckpt: str | ListConfig | DictConfig) -> bool:
    """Whether ``ckpt`` is the folder of a sweep."""
    return isinstance(ckpt, str) and bool(run_folders(ckpt))


def evaluation_folder(file: Path) -> Path:
    """Where the measures of a checkpoint go: beside its run's last one, or under its own name.

    Raises:
        InputError: if it is a link, which a folder of a stranger's may have put there.
    """
    folder = run_folder(file) / ("evaluation" if file.stem == "last" else f"evaluation_{file.stem}")
    if folder.is_symlink():
        raise InputError(f"{folder} is a symbolic link to {folder.resolve()}, where nothing is overwritten: delete it")
    return folder


def published_beside(file: Path, protocol: str) -> dict[str, float]:
    """The published measures of the model in a checkpoint, by what its run folder says of it; empty if none."""
    config = run_folder(file) / ".hydra" / "config.yaml"
    known = published_measures(read_yaml(config)) if config.exists() else {}
    return {name: value for name, value in known.items() if name != "svm_accuracy" or protocol == "report"}


def evaluate(cfg: DictConfig) -> tuple[dict[str, dict[str, float]], Path]:
    """Measure and draw what ``cfg.ckpt`` holds; each model's measures by name, and the folder of the figures."""
    if not isinstance(cfg.operators, ListConfig) or not cfg.operators:
        raise InputError(f"operators must be a list, for example operators=[dilation:1]; got {cfg.operators}")
    operators = [operator(str(text)) for text in cfg.operators]
    protocol = one_of("svm", cfg.svm, tuple(SVM_MEASURES))
    standardised = None if cfg.standardised is None else flag("standardised", cfg.standardised)
    bias, seed = flag("bias", cfg.bias), random_seed("seed", cfg.seed)
    l0_threshold = real("l0_threshold", cfg.l0_threshold, low=0)
    quiet = flag("quiet", cfg.quiet)
    form = one_of("export", cfg.export, FORMATS)
    files, folder = find(cfg.ckpt)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    models = {name: load(file).to(device) for name, file in files.items()}
    data: DataModule = instantiate(cfg.data)
    for name, model in models.items():
        if model.atoms.shape[1:] != data.image_shape:
            raise InputError(
                f"ckpt={files[name]} knows images of shape {list(model.atoms.shape[1:])}, but data.image_shape="
                f"{list(data.image_shape)}: give the data= of its training"
            )
    data.prepare_data()
    for stage in ("fit", "test") if protocol == "quick" else ("test",):
        data.setup(stage)
    check_svm(data.labels, protocol)

    measures = {}
    bar = tqdm(total=4 * len(models), desc="Evaluating", leave=False, disable=quiet)
    for name, model in models.items():
        found = measure(model, data.batches("test"), operators, bias=bias)
        found |= measure_references(model, data.batches("test"), operators)
        bar.update()
        found |= measure_dictionary(model, data.batches("test"), l0_threshold)
        found |= measure_parts(model, getattr(data.source, "parts", None), getattr(data.source, "ignored", None))
        bar.update()
        found |= measure_svm(model, data.batches, protocol, seed, standardised, progress=not quiet)
        measures[name] = {f"test/{key}": value for key, value in found.items()}
        write_json(evaluation_folder(files[name]) / "metrics.json", measures[name])
        export(model, form, evaluation_folder(files[name]))
    order = sorted(models, key=lambda name: measures[name]["test/hoyer_sparsity"])
    drawn = drawings({name: models[name].cpu() for name in order}, data, operators, bias=bias)
    for name, figure in drawn.items():
        figures.save(figure, folder / name)
    bar.update(len(models))
    captions = {name.replace("_", " ").capitalize(): folder / f"{name}.png" for name in drawn}
    images, classes = data.examples("test")
    for name, model in models.items():
        page = run_page(
            name if len(models) > 1 else "/".join(run_folder(files[name]).resolve().parts[-2:]),
            model,
            data.batches("test"),
            dict(zip(classes, images, strict=True)),
            operators[0],
            measures[name],
            published_beside(files[name], protocol),
            {caption: file for caption, file in captions.items() if caption != "Atoms"} if len(models) == 1 else {},
            l0_threshold,
            bias=bias,
        )
        write_bytes(evaluation_folder(files[name]) / REPORT.name, page.encode())
        bar.update()
    bar.close()
    if is_sweep(cfg.ckpt):
        rows = {str(row["folder"]): row for row in read_sweep(Path(cfg.ckpt))}
        for name, file in files.items():
            job = run_folder(file).name
            rows[job] = {**rows.get(job, {"folder": job, "status": "finished"}), **measures[name]}
        write_page(Path(cfg.ckpt), list(rows.values()), captions)
    if len({model.atoms.shape for model in models.values()}) == 1 < len(models):
        pairs = list(itertools.combinations([model.atoms for model in models.values()], 2))
        mean = sum(stability(one, other).item() for one, other in pairs) / len(pairs)
        write_json(folder / "stability.json", {"stability": mean})
    return {name: measures[name] for name in order}, folder


@hydra.main(version_base="1.3", config_path=CONF, config_name="evaluate")
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
    stability_file = folder / "stability.json"
    if len(measures) > 1 and stability_file.exists():
        mean = json.loads(stability_file.read_text())["stability"]
        print(f"\nStability of the atoms between these models, in [-1, 1]: {mean:.3f} (1: the same atoms)")
    files, _ = find(cfg.ckpt)
    pages = [evaluation_folder(file) / REPORT.name for file in files.values()]
    print(f"\nMeasures and figures written to {folder}. Open in a browser")
    for page in [Path(cfg.ckpt) / PAGE] if is_sweep(cfg.ckpt) else pages:
        print(f"  {page}")
    if cfg.export != "none":
        print(f"Exported to {', '.join(str(evaluation_folder(file) / FILES[cfg.export]) for file in files.values())}")


def command() -> None:
    """What the installed package calls."""
    sys.argv[1:] = as_trained(sys.argv[1:])
    run(main)


if __name__ == "__main__":
    command()
