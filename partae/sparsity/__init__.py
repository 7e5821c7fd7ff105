"""Sparsity penalties: code (B, K) -> scalar. None of them depends on the batch size."""

from partae.sparsity.means import KL, L2, EpsilonL1, Log, MeanActivationPenalty, mean_activation
from partae.sparsity.penalties import L0, L1, Hoyer, IntrinsicPlasticity, NoSparsity, Penalty, hoyer_sparsity

__all__ = [
    "KL",
    "L0",
    "L1",
    "L2",
    "EpsilonL1",
    "Hoyer",
    "IntrinsicPlasticity",
    "Log",
    "MeanActivationPenalty",
    "NoSparsity",
    "Penalty",
    "hoyer_sparsity",
    "mean_activation",
]
