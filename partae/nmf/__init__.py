"""Non-negative matrix factorization with Hoyer's sparseness constraints."""

from partae.nmf.sparse_nmf import SparseNMF

__all__ = ["SparseNMF"]
