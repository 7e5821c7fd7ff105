"""The measures of a representation."""

from partae.metrics.code import DeadAtoms, HoyerSparsity, MeanActivation, dead_atoms, hoyer_sparsity
from partae.metrics.measures import Measures, measure
from partae.metrics.parts import part_recovery
from partae.metrics.reconstruction import ReconstructionError, reconstruction_error

__all__ = [
    "DeadAtoms",
    "HoyerSparsity",
    "MeanActivation",
    "Measures",
    "ReconstructionError",
    "dead_atoms",
    "hoyer_sparsity",
    "measure",
    "part_recovery",
    "reconstruction_error",
]
