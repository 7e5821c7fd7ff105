"""The figures of the documentation that need no trained model: ``python docs/figures.py``.

Writes Figures 2 and 3 of the published text, the sparsity penalties against a unit's mean activation, to docs/figures.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from partae import figures
from partae.sparsity import KL, L2, EpsilonL1, Log, MeanActivationPenalty

FOLDER = Path(__file__).with_name("figures")


def curve(penalty: MeanActivationPenalty, activation: Tensor) -> tuple[figures.Array, figures.Array]:
    """Mean activations (N,) and the penalty of a unit at each of them (N,)."""
    return activation.numpy(), penalty.divergence(activation).numpy()


def main() -> None:
    """Draw both."""
    inside = torch.linspace(0.001, 0.999, 999)
    around = torch.linspace(-1, 1, 1001)
    of_a_mean = {"squared L2": L2, "epsilon-L1": EpsilonL1, "log": Log}
    with_kl = {name: curve(kind(1.0, 0.3), inside) for name, kind in {"KL": KL, **of_a_mean}.items()}
    without_kl = {name: curve(kind(1.0, 0.0), around) for name, kind in of_a_mean.items()}
    figures.save(figures.penalties(with_kl, 0.3), FOLDER / "figure_2")
    figures.save(figures.penalties(without_kl, 0.0), FOLDER / "figure_3")
    print(f"Figures 2 and 3 written to {FOLDER}")


if __name__ == "__main__":
    main()
