"""Activations: (B, K) -> (B, K), and images likewise."""

from partae.activation.choice import ACTIVATIONS, ANYTHING, Activated, Interval, NormalisedReLU
from partae.activation.exact import BatchTopK, JumpReLU, TopK
from partae.activation.logistic import Logistic, intrinsic_plasticity

__all__ = [
    "ACTIVATIONS",
    "ANYTHING",
    "Activated",
    "BatchTopK",
    "Interval",
    "JumpReLU",
    "Logistic",
    "NormalisedReLU",
    "TopK",
    "intrinsic_plasticity",
]
