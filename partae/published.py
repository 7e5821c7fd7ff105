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


def published_measures(sparsity: Mapping[str, Any]) -> dict[str, float]:
    """The published measures of the shallow auto-encoder with this ``sparsity``, as its config has it; empty if none.

    >>> published_measures({"_target_": "partae.sparsity.KL", "p": 0.1, "beta": 0.01})["reconstruction_error"]
    0.0139
    """
    kind = {"partae.sparsity.NoSparsity": "none", "partae.sparsity.KL": "kl"}.get(sparsity["_target_"])
    with TABLE_1.open(newline="") as file:
        for row in csv.DictReader(file):
            same = row["model"] == "shallow" and row["sparsity"] == kind
            if same and (kind == "none" or all(float(row[key]) == sparsity[key] for key in ("p", "beta"))):
                return {name: float(row[name]) for name in MEASURES}
    return {}
