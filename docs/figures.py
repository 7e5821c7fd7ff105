"""The figures of the documentation that need no trained model: ``python docs/figures.py``.

Writes to docs/images: Figures 2 and 3 of the published text, the sparsity penalties against a unit's mean activation,
and what L1 and L2 do to the coefficients of an image.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls
from sklearn.datasets import load_digits
from torch import Tensor

from partae import figures
from partae.nmf import SparseNMF
from partae.sparsity import KL, L2, EpsilonL1, Log, MeanActivationPenalty

FOLDER = Path(__file__).with_name("images")


def curve(penalty: MeanActivationPenalty, activation: Tensor) -> tuple[figures.Array, figures.Array]:
    """Mean activations (N,) and the penalty of a unit at each of them (N,)."""
    return activation.numpy(), penalty.divergence(activation).numpy()


def shrinkage() -> dict[str, tuple[figures.Array, figures.Array]]:
    """Coefficients of a digit in atoms of NMF, under an L1 and under an L2 penalty: weights and coefficients."""
    images = load_digits().data[:600] / 16
    atoms = SparseNMF(25, tol=1e-3, random_state=0).fit(images).components_
    gram, target = atoms @ atoms.T, atoms @ images[0]
    weights = np.logspace(-3, 0.5, 60)

    def coefficients(l1: float, l2: float) -> figures.Array:
        # half the squared error + l1 * sum + l2 / 2 * sum of squares over h >= 0 is a least squares problem again
        root = np.linalg.cholesky(gram + l2 * np.eye(len(gram)))
        return nnls(root.T, np.linalg.solve(root, target - l1))[0]

    return {
        "L1: one after another becomes 0": (weights, np.stack([coefficients(weight, 0) for weight in weights])),
        "L2: large ones shrink, zeros grow": (weights, np.stack([coefficients(0, weight) for weight in weights])),
    }


def main() -> None:
    """Draw all three."""
    inside = torch.linspace(0.001, 0.999, 999)
    around = torch.linspace(-1, 1, 1001)
    of_a_mean = {"squared L2": L2, "epsilon-L1": EpsilonL1, "log": Log}
    with_kl = {name: curve(kind(1.0, 0.3), inside) for name, kind in {**of_a_mean, "KL": KL}.items()}
    without_kl = {name: curve(kind(1.0, 0.0), around) for name, kind in of_a_mean.items()}
    figures.save(figures.penalties(with_kl, 0.3), FOLDER / "figure_2")
    figures.save(figures.penalties(without_kl, 0.0), FOLDER / "figure_3")
    figures.save(figures.coefficient_paths(shrinkage()), FOLDER / "shrinkage")
    print(f"Figures written to {FOLDER}")


if __name__ == "__main__":
    main()
