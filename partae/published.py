"""The published figures that ours are put beside."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Source: B. Ponchon, *Morphological multi-scale decompositions and efficient representations with auto-encoders*,
# internship report (2018), Table 1: Fashion-MNIST, test images, k = 100.
TABLE_1 = Path(__file__).with_name("table_1.csv")
MEASURES = ("reconstruction_error", "hoyer_sparsity", "max_approximation_error", "svm_accuracy")
DATA = {"data.source": "partae.data.FashionMNIST"}
SPARSE_NMF = {**DATA, "model.estimator": "partae.factorization.SparseNMF"}
# what all auto-encoders of the table are made of, beside their penalty and constraint
SHALLOW = {
    **DATA,
    "model": "partae.AutoEncoder",
    "encoder": "partae.encoder.Dense",
    "corruption": "partae.corruption.NoCorruption",
    "decay": "partae.decay.NoDecay",
    "approximation": "partae.approximation.NoApproximation",
}
PENALTIES = {"none": "partae.sparsity.NoSparsity", "kl": "partae.sparsity.KL"}


def published_measures(cfg: Mapping[str, Any]) -> dict[str, float]:
    """The published measures of the model that a run's ``cfg`` composes; empty if there are none.

    >>> data = {"source": {"_target_": "partae.data.FashionMNIST"}}
    >>> estimator = {"_target_": "partae.factorization.SparseNMF", "sparseness_of_code": 0.6}
    >>> cfg = {"latent_dim": 100, "data": data, "model": {"estimator": estimator}}
    >>> published_measures(cfg)["reconstruction_error"]
    0.0109
    """
    with TABLE_1.open(newline="") as file:
        for row in csv.DictReader(file):
            if cfg.get("latent_dim") == 100 and _is_model_of(row, cfg):
                return {name: float(row[name]) for name in MEASURES}
    return {}


def published_rows() -> dict[str, dict[str, float]]:
    """All published measures, by what tells their models apart.

    >>> published_rows()["KL, p = 0.2, beta = 0.001"]["hoyer_sparsity"]
    0.23
    """
    names = {"sparse_nmf": "sparse NMF", "none": "no penalty", "kl": "KL, p = {p}, beta = {beta}"}
    with TABLE_1.open(newline="") as file:
        return {
            names[row["model"] if row["model"] in names else row["sparsity"]].format(**row): {
                name: float(row[name]) for name in MEASURES
            }
            for row in csv.DictReader(file)
        }


def _is_model_of(row: Mapping[str, str], cfg: Mapping[str, Any]) -> bool:
    if row["model"] == "sparse_nmf":
        sparseness = _part(cfg, "model.estimator").get("sparseness_of_code")
        return _is_made_of(SPARSE_NMF, cfg) and row["sparsity"] == f"S_h={sparseness}"
    penalty = {"sparsity": PENALTIES[row["sparsity"]]}
    numbers = {} if row["sparsity"] == "none" else {key: float(row[key]) for key in ("p", "beta")}
    return (
        _is_made_of({**SHALLOW, **penalty}, cfg)
        and not _part(cfg, "encoder").get("hidden")
        and (", ".join(_part(cfg, "constraint")) or "none") == row["constraint"]
        and all(_part(cfg, "sparsity").get(key) == value for key, value in numbers.items())
    )


def _is_made_of(classes: Mapping[str, str], cfg: Mapping[str, Any]) -> bool:
    return all(_part(cfg, key).get("_target_") == kind for key, kind in classes.items())


def _part(cfg: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The part of ``cfg`` at a dotted key; an empty one where there is none."""
    part: Any = cfg
    for name in key.split("."):
        part = part.get(name) if isinstance(part, Mapping) else None
    return part if isinstance(part, Mapping) else {}
