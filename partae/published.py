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


def published_measures(cfg: Mapping[str, Any]) -> dict[str, float]:
    """The published measures of the model that a run's ``cfg`` composes; empty if there are none.

    >>> estimator = {"_target_": "partae.factorization.SparseNMF", "sparseness_of_code": 0.6}
    >>> model = {"_target_": "partae.Factorization", "estimator": estimator}
    >>> published_measures({"latent_dim": 100, "model": model})["reconstruction_error"]
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
    model, penalty = cfg.get("model") or {}, cfg.get("sparsity") or {}
    if row["model"] == "sparse_nmf":
        estimator = model.get("estimator") or {}
        asked = f"S_h={estimator.get('sparseness_of_code')}"
        return estimator.get("_target_") == "partae.factorization.SparseNMF" and asked == row["sparsity"]
    name = {"partae.sparsity.NoSparsity": "none", "partae.sparsity.KL": "kl"}.get(str(penalty.get("_target_")))
    if model.get("_target_") != "partae.AutoEncoder" or row["sparsity"] != name:
        return False
    return name == "none" or all(float(row[key]) == penalty[key] for key in ("p", "beta"))
