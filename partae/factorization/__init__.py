"""Factorizations of images into a code and atoms."""

from partae.factorization.sparse_nmf import SparseNMF

__all__ = ["SparseNMF"]
