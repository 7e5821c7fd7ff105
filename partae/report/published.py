"""The published measures that ours are compared with."""

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
# all auto-encoders of the table
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
    """The published measures of the model that a run's configuration describes; empty if there are none.

    Args:
        cfg: plain data from a run's folder, not yet checked.
    """
    constraint = ", ".join(map(str, subtree(cfg, "constraint"))) or "none"
    with TABLE_1.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        expected: dict[str, Any] = dict(IMAGES)
        if row["model"] == "sparse_nmf":
            expected |= SPARSE_NMF
            expected["model.estimator.sparseness_of_code"] = float(row["sparsity"].removeprefix("S_h="))
        elif row["constraint"] == constraint:
            expected |= SHALLOW
            expected["sparsity._target_"] = PENALTIES[row["sparsity"]]
            expected |= {f"sparsity.{key}": float(row[key]) for key in ("p", "beta") if row[key]}
        else:
            continue
        if all(_value(cfg, key) == value for key, value in expected.items()):
            return {name: float(row[name]) for name in MEASURES}
    return {}


def _value(cfg: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key, or None."""
    group, _, name = key.rpartition(".")
    return subtree(cfg, group).get(name)
