"""What each measure means, its range and its direction, in the words of the functions that measure."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from partae import metrics
from partae.metrics.measures import DILATION

KINDS: dict[str, Callable[..., Any]] = {
    "reconstruction_error": metrics.reconstruction_error,
    "hoyer_sparsity": metrics.hoyer_sparsity,
    "max_approximation_error": metrics.reconstruction_error,
    "max_approximation_error_of_reconstruction": metrics.reconstruction_error,
    "dead_atoms": metrics.dead_atoms,
    "mean_activation": metrics.MeanActivation,
    "explained_variance": metrics.explained_variance,
    "l0": metrics.l0,
    "usage_frequency": metrics.usage_frequency,
    "atom_sparsity": metrics.atom_sparsity,
    "overlap": metrics.overlap,
    "coherence": metrics.coherence,
    "negative_share": metrics.negative_share,
    "negative_mass": metrics.negative_mass,
    "identity_error": metrics.reconstruction_error,
    "operated_reconstruction_error": metrics.reconstruction_error,
    "svm_accuracy": metrics.svm_accuracy_quick,
    "svm_accuracy_report": metrics.svm_accuracy_report,
    "stability": metrics.stability,
    "part_recovery": metrics.part_recovery,
}
# the error between which two images, where the name alone does not say it
BETWEEN = {
    "max_approximation_error": "between the max-approximation and the {} of the image",
    "max_approximation_error_of_reconstruction": "between the max-approximation and the {} of the reconstruction",
    "identity_error": "between the image itself and its {}: what a max-approximation has to beat",
    "operated_reconstruction_error": "between the {0} of the reconstruction and the {0} of the image",
}
# what goes with a protocol of the SVM, in words of its own
BESIDE = {
    "least_part_recovery": ("The part recovery of the part that is recovered worst", "in [-1, 1]", "higher is better"),
    "svm_accuracy_std": ("Standard deviation of the accuracy over the same splits", "at least 0"),
    "svm_c": ("Weight of the errors against the margin, as the protocol chose it", "above 0"),
}
# "meaning: shapes -> shape, range; direction."
SUMMARY = re.compile(r"(?P<meaning>.*?)(: \([^>]*-> (scalar|\([^)]*\)),?(?P<range>[^;]*))?(; (?P<direction>.*))?\.")


class Wording(NamedTuple):
    """A measure in words.

    Args:
        label: its name as one reads it.
        meaning: what it measures.
        range: the values that it can have; empty if anything.
        direction: which way is better or what a high value says; empty if neither.
    """

    label: str
    meaning: str = ""
    range: str = ""
    direction: str = ""


def wording(name: str, **values: float) -> Wording:
    """The words for a measure, called as in metrics.json but for the split; its own name if it is unknown.

    Args:
        name: such as "l0", or "max_approximation_error/opening:2".
        values: of the measure's arguments, where they are not its defaults.

    >>> wording("l0", threshold=0.05)
    Wording(label='L0', meaning='Number of entries of each code whose size exceeds 0.05', range='in [0, K]', \
direction='lower is sparser')
    """
    base, _, operator = name.partition("/")
    label = _label(base) + (f" ({operator.replace(':', ', radius ')})" if operator else "")
    if base not in KINDS:
        return Wording(label, *BESIDE.get(base, ()))
    kind = KINDS[base]
    summary = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    values = {key: item.default for key, item in inspect.signature(kind).parameters.items()} | values
    summary = re.sub(r"``(\w+)``", lambda found: f"{values[found[1]]:g}", summary)
    summary = re.sub(r"`(\w+)`", lambda found: _label(found[1]), summary)
    found = SUMMARY.fullmatch(summary)
    if found is None:
        return Wording(label, summary)
    parts = {key: (text or "").strip() for key, text in found.groupdict().items()}
    if base in BETWEEN:
        kind_of, _, radius = (operator or str(DILATION)).partition(":")
        parts["meaning"] = f"Mean squared difference {BETWEEN[base].format(f'{kind_of} (radius {radius})')}"
        parts["direction"] = "" if base == "identity_error" else parts["direction"]  # it says nothing of the model
    return Wording(label, **parts)


def _label(name: str) -> str:
    label = name.replace("_", " ").replace("svm", "SVM").replace("l0", "L0").replace("max approx", "max-approx")
    return label[0].upper() + label[1:]
