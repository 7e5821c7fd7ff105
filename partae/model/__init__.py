"""Models: auto-encoders, factorizations and Boltzmann machines."""

from partae.model.adapter import adapt
from partae.model.autoencoder import AutoEncoder
from partae.model.boltzmann import SparseDBN, SparseRBM
from partae.model.coder import LeastSquares, Nearest, NonNegativeLeastSquares
from partae.model.factorization import Factorization

__all__ = [
    "AutoEncoder",
    "Factorization",
    "LeastSquares",
    "Nearest",
    "NonNegativeLeastSquares",
    "SparseDBN",
    "SparseRBM",
    "adapt",
]
