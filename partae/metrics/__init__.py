"""The measures of a representation."""

from partae.metrics.atoms import atom_sparsity, coherence, negative_mass, negative_share, overlap, stability
from partae.metrics.calibration import best_gain, calibrate, check_gains, measure_references
from partae.metrics.classification import SVMAccuracy, svm_accuracy_quick, svm_accuracy_report
from partae.metrics.code import (
    L0,
    DeadAtoms,
    HoyerSparsity,
    MeanActivation,
    UnitActivation,
    UsageFrequency,
    dead_atoms,
    l0,
    usage_frequency,
)
from partae.metrics.errors import (
    ExplainedVariance,
    ReconstructionError,
    explained_variance,
    reconstruction_error,
)
from partae.metrics.measures import MEASURED, Measures, codes, measure, measure_dictionary, measure_parts
from partae.metrics.parts import part_recovery
from partae.sparsity import hoyer_sparsity

__all__ = [
    "L0",
    "MEASURED",
    "DeadAtoms",
    "ExplainedVariance",
    "HoyerSparsity",
    "MeanActivation",
    "Measures",
    "ReconstructionError",
    "SVMAccuracy",
    "UnitActivation",
    "UsageFrequency",
    "atom_sparsity",
    "best_gain",
    "calibrate",
    "check_gains",
    "codes",
    "coherence",
    "dead_atoms",
    "explained_variance",
    "hoyer_sparsity",
    "l0",
    "measure",
    "measure_dictionary",
    "measure_parts",
    "measure_references",
    "negative_mass",
    "negative_share",
    "overlap",
    "part_recovery",
    "reconstruction_error",
    "stability",
    "svm_accuracy_quick",
    "svm_accuracy_report",
    "usage_frequency",
]
