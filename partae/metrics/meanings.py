"""What each measure means, its range and which way is better: data for tables and pages."""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """A measure in words.

    Args:
        label: its name for readers.
        meaning: what it measures; ``{0}`` stands for the operator and ``{threshold:g}`` for the threshold of ``l0``.
        range: the values that it can have; empty if any.
        direction: which way is better, or what a high value says; empty if neither.
    """

    label: str
    meaning: str
    range: str = ""
    direction: str = ""


def _error(label: str, between: str, direction: str = "lower is better") -> Meaning:
    return Meaning(label, f"Mean squared difference between {between}", "at least 0", direction)


# by the name of the measure in metrics.json, without its split and operator
MEANINGS = {
    "reconstruction_error": _error("Reconstruction error", "the reconstruction and the image"),
    "reconstruction_error_clipped": _error(
        "Reconstruction error, clipped", "the reconstruction, clipped to [0, 1], and the image"
    ),
    "hoyer_sparsity": Meaning("Hoyer sparsity", "Hoyer's sparsity of each code", "in [0, 1]", "higher is sparser"),
    "max_approximation_error": _error(
        "Max-approximation error", "the max-approximation, raw as published, and the {0} of the image"
    ),
    "max_approximation_error_clipped": _error(
        "Max-approximation error, clipped", "the max-approximation, clipped to [0, 1], and the {0} of the image"
    ),
    "max_approximation_error_calibrated": _error(
        "Max-approximation error, calibrated",
        "the max-approximation, times its gain and then clipped to [0, 1], and the {0} of the image",
    ),
    "max_approximation_error_of_reconstruction": _error(
        "Max-approximation error of reconstruction", "the raw max-approximation and the {0} of the reconstruction"
    ),
    "image_error": _error(
        "Error of the image itself",
        "the image itself and its {0}: what a max-approximation has to beat",
        direction="",  # it says nothing of the model
    ),
    "operated_reconstruction_error": _error(
        "Error of the operated reconstruction",
        "the {0} of the clipped reconstruction and the {0} of the image: what the operator achieves where it is "
        "applied to every reconstruction",
    ),
    "operated_reconstruction_error_calibrated": _error(
        "Error of the operated reconstruction, calibrated",
        "the {0} of the clipped reconstruction, times its own gain, and the {0} of the image",
    ),
    "least_squares_error": _error(
        "Error of the best linear dictionary",
        "the {0} of the image and its rendering, from the same code, by the linear dictionary that fits the {0} of "
        "training images best",
    ),
    "max_approximation_gain": Meaning(
        "Max-approximation gain",
        "Factor of the max-approximation, fitted to training images, that makes up for atoms that overlap",
        "at least 0",
    ),
    "dead_atoms": Meaning(
        "Dead atoms",
        "Number of units that never exceed 0.01 of the largest activation",
        "in [0, K]",
        "lower is better",
    ),
    "contributing_atoms": Meaning(
        "Contributing atoms",
        "Number of atoms whose mean code times L1 norm is at least 0.001 of the sum over all atoms",
        "in [0, K]",
        "higher is better",
    ),
    "code_variation": Meaning(
        "Code variation", "Share of the code's energy that varies between images; 0 if all codes are alike", "in [0, 1]"
    ),
    "mean_activation": Meaning("Mean activation", "Mean of all entries of all codes"),
    "explained_variance": Meaning(
        "Explained variance", "Share of the images' variance that is explained", "at most 1", "higher is better"
    ),
    "l0": Meaning(
        "L0", "Number of entries of each code whose size exceeds {threshold:g}", "in [0, K]", "lower is sparser"
    ),
    "relative_l0": Meaning(
        "Relative L0",
        "Number of entries of each code that exceed 0.01 of its largest, each multiplied by the norm of its atom",
        "in [0, K]",
        "lower is sparser",
    ),
    "usage_frequency": Meaning(
        "Usage frequency", "Share of images in which each unit exceeds 0.01 of the largest activation", "in [0, 1]"
    ),
    "atom_sparsity": Meaning("Atom sparsity", "Hoyer sparsity of each atom", "in [0, 1]", "higher is more localised"),
    "overlap": Meaning("Overlap", "Mean overlap of two atoms as they are used", "in [0, 1]", "lower is better"),
    "coherence": Meaning(
        "Coherence", "Largest absolute cosine between two different atoms", "in [0, 1]", "lower is better"
    ),
    "negative_share": Meaning(
        "Negative share", "Share of negative values", "in [0, 1]", "lower is better, since parts only add"
    ),
    "negative_mass": Meaning(
        "Negative mass", "Share of the negative values in the sum of sizes", "in [0, 1]", "lower is better"
    ),
    "part_recovery": Meaning(
        "Part recovery",
        "Cosine of the angle between each part and the atom matched with it",
        "in [-1, 1]",
        "higher is better",
    ),
    "least_part_recovery": Meaning(
        "Least part recovery", "The part recovery of the part that is recovered worst", "in [-1, 1]", "higher is better"
    ),
    "svm_accuracy": Meaning(
        "SVM accuracy",
        "Accuracy of a linear SVM on the test images, fitted to the training images",
        "in [0, 1]",
        "higher is better",
    ),
    "svm_accuracy_report": Meaning(
        "SVM accuracy",
        "Accuracy of a linear SVM on test images, fitted to others of them as published",
        "in [0, 1]",
        "higher is better",
    ),
    "svm_accuracy_std": Meaning(
        "SVM accuracy std", "Standard deviation of the accuracy over the same splits", "at least 0"
    ),
    "svm_c": Meaning("SVM c", "Weight of the errors against the margin, as the protocol chose it", "above 0"),
    "clustering_accuracy": Meaning(
        "Clustering accuracy",
        "Share of test images whose k-means cluster, by their codes, is the one matched with their class",
        "in [0, 1]",
        "higher is better",
    ),
    "clustering_nmi": Meaning(
        "Clustering NMI",
        "Normalised mutual information of classes and k-means clusters of the test images' codes",
        "in [0, 1]",
        "higher is better",
    ),
    "knn_accuracy": Meaning(
        "kNN accuracy",
        "Accuracy of the most frequent class of the five nearest training codes",
        "in [0, 1]",
        "higher is better",
    ),
    "encode_seconds": Meaning(
        "Encode seconds", "Seconds to encode 10,000 images, on the machine that measured", "above 0", "lower is faster"
    ),
    "parameter_bytes": Meaning("Parameter bytes", "Bytes of the model's parameters", "above 0", "lower is smaller"),
    "stability": Meaning(
        "Stability", "Mean cosine of two models' atoms, matched one to one", "in [-1, 1]", "higher is better"
    ),
}
