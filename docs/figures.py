"""The figures of the documentation that need no trained model: ``python docs/figures.py``.

Writes to docs/images: Figures 2 and 3 of the published text, with the sparsity penalties against a unit's mean
activation, and the coefficients of an image as an L1 and an L2 penalty grow.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.optimize import nnls
from sklearn.datasets import load_digits
from torch import Tensor

from partae import figures
from partae.nmf import SparseNMF
from partae.sparsity import KL, L2, EpsilonL1, Log, MeanActivationPenalty

FOLDER = Path(__file__).with_name("images")
Curve = tuple[figures.Array, figures.Array]


def curve(penalty: MeanActivationPenalty, activation: Tensor) -> Curve:
    """Mean activations (N,) and the penalty of a unit at each of them (N,)."""
    return activation.numpy(), penalty.divergence(activation).numpy()


def shrinkage() -> dict[str, Curve]:
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


@figures.styled
def penalty_figure(curves: Mapping[str, Curve], p: float) -> Figure:
    """Penalties of a unit against its mean activation, with the expected activation p marked."""
    figure = Figure(figsize=(3.6, 2.7))
    axes = figure.subplots()
    for (name, (activation, penalty)), line in zip(curves.items(), ("-", "--", "-.", ":"), strict=False):
        axes.plot(activation, penalty, line, label=name)
    axes.axvline(p, color="0.6", linewidth=0.7)
    axes.text(p, 1, f" p = {p:g}", transform=axes.get_xaxis_transform(), va="top", fontsize=8, color="0.4")
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("mean activation of a unit")
    axes.set_ylabel("penalty")
    axes.legend()
    return figure


@figures.styled
def shrinkage_figure(paths: Mapping[str, Curve]) -> Figure:
    """Coefficients (N, K) against weights (N,) of a penalty, a panel for each; how many are left is written twice."""
    figure = Figure(figsize=(3.3 * len(paths), 2.7))
    panels = figure.subplots(1, len(paths), sharey=True)
    for axes, (name, (weights, coefficients)) in zip(panels, paths.items(), strict=True):
        axes.semilogx(weights, coefficients, linewidth=1)
        axes.set_title(name)
        axes.set_xlabel("weight of the penalty")
        for at in np.linspace(0, len(weights) - 1, 4).round().astype(int)[1:-1]:
            axes.axvline(weights[at], color="0.8", linewidth=0.7, zorder=0)
            text = f" {(coefficients[at] > 0).sum()} left"
            axes.annotate(
                text, (weights[at], 0.99), xycoords=("data", "axes fraction"), va="top", fontsize=8, color="0.4"
            )
    panels[0].set_ylabel("coefficient")
    return figure


def main() -> None:
    """Draw all three."""
    inside = torch.linspace(0.001, 0.999, 999)
    around = torch.linspace(-1, 1, 1001)
    of_a_mean = {"squared L2": L2, "epsilon-L1": EpsilonL1, "log": Log}
    with_kl = {name: curve(kind(1.0, 0.3), inside) for name, kind in {**of_a_mean, "KL": KL}.items()}
    without_kl = {name: curve(kind(1.0, 0.0), around) for name, kind in of_a_mean.items()}
    figures.save(penalty_figure(with_kl, 0.3), FOLDER / "figure_2")
    figures.save(penalty_figure(without_kl, 0.0), FOLDER / "figure_3")
    figures.save(shrinkage_figure(shrinkage()), FOLDER / "shrinkage")
    print(f"Figures are in {FOLDER}")


if __name__ == "__main__":
    print(__doc__) if "--help" in sys.argv else main()
