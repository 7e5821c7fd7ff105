"""How far a granulometry from codes is from the true one, on test images, beside simpler estimates.

    python benchmarks/granulometry.py <run folder>

prints a row for each operator: the error of the mean pattern spectrum, and that of each image's volumes (the sums over
the pixels of the operated image). All estimates are fitted to the same training images, each radius by itself:

- mean: the training images' mean volume, for every image alike;
- pixels: linear in the sum over the pixels of the image itself;
- atoms: linear in the code times the volumes of the operated atoms;
- code: `partae.Granulometry`, linear in the code;
- reconstructions: the volumes of the operated reconstructions, clipped to [0, 1], which operates on every image.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize
from hydra.utils import instantiate
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression
from torch import Tensor

import partae
import partae.run.resolvers
from partae.morphology import Operator, operate
from partae.representation import Representation

RADII = range(11)
OPERATORS = ("opening", "closing", "dilation")
TRAINING = 2000
DATA: list[str] = []  # overrides
Volumes = NDArray[np.float64]


def volumes(images: Tensor, operator: str) -> Volumes:
    """The sums over the pixels of images (N, C, H, W), operated on by each disk: (N, R)."""
    sums = [operate(images, [Operator(operator, radius)]).sum(dim=(2, 3, 4)) for radius in RADII]
    return torch.cat(sums, dim=1).double().numpy()


def linear(features: Volumes, training: Volumes, test_features: Volumes) -> Volumes:
    """The best linear estimate of test volumes by features (N, F) of training images and test images."""
    return LinearRegression().fit(features, training).predict(test_features)


def of_each(found: Volumes, expected: Volumes) -> float:
    """Relative error of each image's values (N, R)."""
    return float(np.abs(found - expected).sum() / np.abs(expected).sum())


def of_mean(found: Volumes, expected: Volumes) -> float:
    """Relative error of the mean pattern spectrum, the differences from radius to radius."""
    return of_each(np.diff(found.mean(axis=0))[None], np.diff(expected.mean(axis=0))[None])


def estimates(model: Representation, training: Tensor, test: Tensor, operator: str) -> dict[str, tuple[float, float]]:
    """The two errors of each estimate by its name."""
    atoms, reconstructions = (each.detach() for each in (model.atoms, model.reconstruct(test).clip(0, 1)))
    code, test_code = (model.encode(images).detach().double().numpy() for images in (training, test))
    known, expected = volumes(training, operator), volumes(test, operator)
    weighted, test_weighted = (each @ volumes(atoms, operator) for each in (code, test_code))
    columns = [np.s_[:, index : index + 1] for index in range(len(RADII))]
    found = {
        "mean": np.broadcast_to(known.mean(axis=0), expected.shape),
        "pixels": linear(training.flatten(1).sum(1, True).numpy(), known, test.flatten(1).sum(1, True).numpy()),
        "atoms": np.hstack([linear(weighted[each], known[each], test_weighted[each]) for each in columns]),
        "code": partae.Granulometry(model, training, RADII, operator)(test.numpy()),
        "reconstructions": volumes(reconstructions, operator),
    }
    return {name: (of_mean(each, expected), of_each(each, expected)) for name, each in found.items()}


def main() -> None:
    with initialize(version_base="1.3", config_path="../conf"):
        data = instantiate(compose("evaluate", overrides=["ckpt=null", *DATA]).data)
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    training, test = (torch.cat([images for images, _ in data.batches(split)]) for split in ("train", "test"))
    for folder in sys.argv[1:]:
        model = partae.load(folder)
        for operator in OPERATORS:
            errors = estimates(model, training[:TRAINING], test, operator)
            row = " | ".join(f"{100 * mean:.2f} / {100 * each:.1f}" for mean, each in errors.values())
            if operator == OPERATORS[0]:
                print(
                    f"\n{Path(folder).name}: error of the mean pattern spectrum / of each image's volumes, in percent"
                )
                print(f"| | {' | '.join(errors)} |\n|{' --- |' * (1 + len(errors))}")
            print(f"| {operator} | {row} |", flush=True)


if __name__ == "__main__":
    print(__doc__) if "--help" in sys.argv or len(sys.argv) < 2 else main()
