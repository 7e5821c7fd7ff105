"""The measures of a representation."""

from partae.metrics.atoms import atom_sparsity, coherence, negative_mass, negative_share, overlap, stability
from partae.metrics.code import (
    L0,
    DeadAtoms,
    HoyerSparsity,
    MeanActivation,
    UnitActivation,
    UsageFrequency,
    dead_atoms,
    hoyer_sparsity,
    l0,
    usage_frequency,
)
from partae.metrics.measures import Measures, measure
from partae.metrics.reconstruction import (
    ExplainedVariance,
    ReconstructionError,
    explained_variance,
    reconstruction_error,
)

__all__ = [
    "L0",
    "DeadAtoms",
    "ExplainedVariance",
    "HoyerSparsity",
    "MeanActivation",
    "Measures",
    "ReconstructionError",
    "UnitActivation",
    "UsageFrequency",
    "atom_sparsity",
    "coherence",
    "dead_atoms",
    "explained_variance",
    "hoyer_sparsity",
    "l0",
    "measure",
    "negative_mass",
    "negative_share",
    "overlap",
    "reconstruction_error",
    "stability",
    "usage_frequency",
]
