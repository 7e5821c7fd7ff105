"""Callbacks that watch a training."""

from partae.callbacks.beginning import SparseBeginning
from partae.callbacks.checkpoint import Checkpoint
from partae.callbacks.gallery import Gallery
from partae.callbacks.hyperparameters import Hyperparameters
from partae.callbacks.pruning import DenseSparseDense
from partae.callbacks.revival import Revival

__all__ = ["Checkpoint", "DenseSparseDense", "Gallery", "Hyperparameters", "Revival", "SparseBeginning"]
