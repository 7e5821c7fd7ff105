"""The measures of a representation."""

from partae.metrics.code import DeadAtoms, HoyerSparsity, MeanActivation, dead_atoms
from partae.metrics.measures import Measures, measure
from partae.metrics.reconstruction import ReconstructionError, reconstruction_error
from partae.sparsity import hoyer_sparsity

__all__ = [
    "DeadAtoms",
    "HoyerSparsity",
    "MeanActivation",
    "Measures",
    "ReconstructionError",
    "dead_atoms",
    "hoyer_sparsity",
    "measure",
    "reconstruction_error",
]
