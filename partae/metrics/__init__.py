"""The measures of a representation."""

from partae.metrics.atoms import (
    atom_sparsity,
    coherence,
    negative_mass,
    negative_share,
    overlap,
    part_recovery,
    stability,
)
from partae.metrics.calibration import best_gain, calibrate, check_gains
from partae.metrics.classification import SVMAccuracy, svm_accuracy_quick, svm_accuracy_report
from partae.metrics.code import contributions, dead_atoms, l0, relative_l0, usage_frequency
from partae.metrics.comparison import clustering_accuracy, knn_accuracy
from partae.metrics.errors import ExplainedVariance, explained_variance, reconstruction_error
from partae.metrics.measures import MEASURED, Measures, codes, measure
from partae.metrics.volumes import Granulometry, granulometry
from partae.sparsity import hoyer_sparsity

__all__ = [
    "MEASURED",
    "ExplainedVariance",
    "Granulometry",
    "Measures",
    "SVMAccuracy",
    "atom_sparsity",
    "best_gain",
    "calibrate",
    "check_gains",
    "clustering_accuracy",
    "codes",
    "coherence",
    "contributions",
    "dead_atoms",
    "explained_variance",
    "granulometry",
    "hoyer_sparsity",
    "knn_accuracy",
    "l0",
    "measure",
    "negative_mass",
    "negative_share",
    "overlap",
    "part_recovery",
    "reconstruction_error",
    "relative_l0",
    "stability",
    "svm_accuracy_quick",
    "svm_accuracy_report",
    "usage_frequency",
]
