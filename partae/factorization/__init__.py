"""Factorizations of images into a code and atoms."""

from partae.factorization.coder import InnerProducts, LeastSquares, Nearest, NonNegativeLeastSquares
from partae.factorization.model import Factorization
from partae.factorization.sparse_nmf import SparseNMF

__all__ = ["Factorization", "InnerProducts", "LeastSquares", "Nearest", "NonNegativeLeastSquares", "SparseNMF"]
