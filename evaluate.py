"""Measure a trained model on the test images and draw it: ``python evaluate.py ckpt=<checkpoint or run folder>``."""

from __future__ import annotations

from pathlib import Path

import hydra
import torch
from hydra.utils import instantiate
from matplotlib.figure import Figure
from omegaconf import DictConfig

from partae import figures
from partae.data import DataModule
from partae.files import write_json
from partae.loading import checkpoint_file, load, run_folder
from partae.metrics import measure
from partae.morphology import dilation
from partae.report import table
from partae.representation import Representation
from partae.sweep import explained


@torch.no_grad()
def draw(model: Representation, data: DataModule) -> dict[str, Figure]:
    """The four figures of a model on the first test image of each class, by file name."""
    images, labels = data.one_per_class("test")
    names = [data.classes[label] for label in labels.tolist()]
    operator = dilation(1)
    code = model.encode(images)
    approximation = model.max_approximation(images, operator)
    atoms = model.atoms.cpu().numpy()
    return {
        "reconstructions": figures.image_rows(
            {"original": images.numpy(), "reconstruction": model.decode(code).numpy()}, names, "Reconstructions"
        ),
        "code_histograms": figures.code_histograms({"auto-encoder": code.numpy()}, names, "The code of each image"),
        "atoms": figures.atoms(atoms, f"{len(atoms)} atoms, each on its own scale"),
        "max_approximations": figures.image_rows(
            {str(operator): operator(images).numpy(), "max-approximation": approximation.numpy()},
            names,
            "Dilation by the disk of radius 1, and its max-approximation",
        ),
    }


def evaluate(cfg: DictConfig) -> tuple[dict[str, float], Path]:
    """Measure and draw what ``cfg.ckpt`` holds; the measures, and the folder that all was written to."""
    file = checkpoint_file(cfg.ckpt)
    folder = run_folder(file) / "evaluation"
    model = load(file)
    data: DataModule = instantiate(cfg.data)
    data.prepare_data()
    data.setup("test")
    measures = {f"test/{name}": value for name, value in measure(model, data.batches("test")).items()}
    for name, figure in draw(model, data).items():
        figures.save(figure, folder / name)
    write_json(folder / "metrics.json", measures)
    return measures, folder


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Evaluate one model and say what came of it."""
    with explained():
        measures, folder = evaluate(cfg)
    print(table([{"test images": key.removeprefix("test/"), "value": value} for key, value in measures.items()]))
    print(f"\nMeasures and figures written to {folder}")


if __name__ == "__main__":
    main()
