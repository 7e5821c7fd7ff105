"""The published figures that ours are put beside."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from partae.files import subtree

# Source: B. Ponchon, *Morphological multi-scale decompositions and efficient representations with auto-encoders*,
# internship report (2018), Table 1: Fashion-MNIST, test images, k = 100.
TABLE_1 = Path(__file__).with_name("table_1.csv")
MEASURES = ("reconstruction_error", "hoyer_sparsity", "max_approximation_error", "svm_accuracy")
IMAGES = {"latent_dim": 100, "data.source._target_": "partae.data.FashionMNIST"}
SPARSE_NMF = {
    "model.estimator._target_": "partae.nmf.SparseNMF",
    "model.estimator.code_sparseness_per": "unit",
    "model.estimator.sparseness_of_atoms": None,
}
# what all auto-encoders of the table have in common
SHALLOW = {
    "model._target_": "partae.model.AutoEncoder",
    "encoder._target_": "partae.encoder.Dense",
    "encoder.activation": "sigmoid",
    "encoder.hidden": [],
    "encoder.tied": False,
    "decoder._target_": "partae.decoder.Dictionary",
    "decoder.activation": "leaky_relu",
    "decoder.biased": True,
    "reconstruction._target_": "partae.reconstruction.MSE",
    "corruption._target_": "partae.corruption.NoCorruption",
    "decay._target_": "partae.decay.NoDecay",
    "approximation._target_": "partae.approximation.NoApproximation",
    "callbacks.pruning": None,
    "callbacks.revival": None,
}
PENALTIES = {"none": "partae.sparsity.NoSparsity", "kl": "partae.sparsity.KL"}


def published_measures(cfg: Mapping[str, Any]) -> dict[str, float]:
    """The published measures of the model that a run's ``cfg`` composes; empty if there are none.

    Args:
        cfg: plain data, as a run's folder keeps it, which may say anything of itself.
    """
    expected: dict[str, Any]
    constraint = ", ".join(map(str, subtree(cfg, "constraint"))) or "none"
    for row in _rows():
        numbers = {f"sparsity.{key}": float(row[key]) for key in ("p", "beta") if row[key]}
        if row["model"] == "sparse_nmf":
            expected = {**SPARSE_NMF, "model.estimator.sparseness_of_code": float(row["sparsity"].removeprefix("S_h="))}
        elif row["constraint"] == constraint:
            expected = {**SHALLOW, "sparsity._target_": PENALTIES[row["sparsity"]], **numbers}
        else:
            continue
        if _says(cfg, {**IMAGES, **expected}):
            return {name: float(row[name]) for name in MEASURES}
    return {}


def _rows() -> list[dict[str, str]]:
    with TABLE_1.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _says(cfg: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether ``cfg`` has each expected value at its dotted key."""
    split = {key.rpartition("."): value for key, value in expected.items()}
    return all(subtree(cfg, group).get(name) == value for (group, _, name), value in split.items())
