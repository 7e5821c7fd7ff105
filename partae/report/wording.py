"""What each measure means, its range and its direction, in the words of the functions that measure."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from partae import metrics
from partae.metrics.measures import DILATION
from partae.report.tables import Cell, number

KINDS: dict[str, Callable[..., Any]] = {
    "reconstruction_error": metrics.reconstruction_error,
    "hoyer_sparsity": metrics.hoyer_sparsity,
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
    "svm_accuracy": metrics.svm_accuracy_quick,
    "svm_accuracy_report": metrics.svm_accuracy_report,
    "stability": metrics.stability,
    "part_recovery": metrics.part_recovery,
}
# the error between which two images, where the name alone does not say it
BETWEEN = {
    "reconstruction_error_clipped": "between the reconstruction, clipped to [0, 1], and the image",
    "max_approximation_error": "between the max-approximation, raw as published, and the {} of the image",
    "max_approximation_error_clipped": "between the max-approximation, clipped to [0, 1], and the {} of the image",
    "max_approximation_error_calibrated": "between the max-approximation, times its gain and then clipped to [0, 1], "
    "and the {} of the image",
    "max_approximation_error_of_reconstruction": "between the raw max-approximation and the {} of the reconstruction",
    "image_error": "between the image itself and its {}: what a max-approximation has to beat",
    "operated_reconstruction_error": "between the {0} of the clipped reconstruction and the {0} of the image: what the "
    "operator achieves where it is applied to every reconstruction",
    "operated_reconstruction_error_calibrated": "between the {0} of the clipped reconstruction, times its own gain, "
    "and the {0} of the image",
    "least_squares_error": "between the {0} of the image and what the best linear dictionary for it, fitted to "
    "training images, makes of the code",
}
KINDS |= dict.fromkeys(BETWEEN, metrics.reconstruction_error)
LABELS = {
    "reconstruction_error_clipped": "Reconstruction error, clipped",
    "max_approximation_error_clipped": "Max-approximation error, clipped",
    "max_approximation_error_calibrated": "Max-approximation error, calibrated",
    "image_error": "Error of the image itself",
    "operated_reconstruction_error": "Error of the operated reconstruction",
    "operated_reconstruction_error_calibrated": "Error of the operated reconstruction, calibrated",
    "least_squares_error": "Error of the best linear dictionary",
}
# what goes with a protocol of the SVM, in words of its own
BESIDE = {
    "max_approximation_gain": (
        "Factor of the max-approximation, fitted to training images, that makes up for atoms that overlap",
        "at least 0",
    ),
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
        parts["direction"] = "" if base == "image_error" else parts["direction"]  # it says nothing of the model
    return Wording(label, **parts)


def measure_wording(name: str, runs: Sequence[Mapping[str, Cell]], l0_threshold: float) -> Wording:
    """The words for a measure of some runs, by the settings that it was measured with.

    Args:
        name: as for `wording`.
        runs: the measures of each, by their names in metrics.json.
        l0_threshold: that ``l0`` was measured with.
    """
    if name == "l0":
        return wording(name, threshold=l0_threshold)
    words = wording(name)
    if name != "svm_accuracy":
        return words
    published = {"test/svm_c" in run for run in runs if "test/svm_accuracy" in run}  # it chooses C
    if published == {True}:
        return wording("svm_accuracy_report")._replace(label=words.label)
    if len(published) > 1:
        both = "Accuracy of a linear SVM by two protocols, which do not compare: the published one where C is given"
        return words._replace(meaning=both)
    return words


def verdicts(measures: Mapping[str, float]) -> list[str]:
    """A sentence for each operator: whether its max-approximation is nearer to the operated images than others are.

    Args:
        measures: of test images, by their names in metrics.json.

    >>> errors = {"max_approximation_error_calibrated": 0.03, "image_error": 0.05}
    >>> verdicts({f"test/{name}": value for name, value in {**errors, "operated_reconstruction_error": 0.01}.items()})
    ['Calibrated, the max-approximation is nearer to the dilation (radius 1) than the image itself is: \
yes (0.03000 to 0.05000); than the dilation of the reconstruction is: no (0.03000 to 0.01000).']
    """
    sentences = []
    for operator, (error, *references) in _held_against(measures).items():
        image, operated = (
            f"{'yes' if error < reference else 'no'} ({number(error)} to {number(reference)})"
            for reference in references
        )
        kind, _, radius = operator.partition(":")
        sentences.append(
            f"Calibrated, the max-approximation is nearer to the {kind} (radius {radius}) than the image itself is: "
            f"{image}; than the {kind} of the reconstruction is: {operated}."
        )
    return sentences


def verdicts_of_runs(runs: Sequence[Mapping[str, Cell]]) -> list[str]:
    """The `verdicts` on several runs together, of each operator that all of them were measured with.

    >>> kinds = ("max_approximation_error_calibrated", "image_error", "operated_reconstruction_error")
    >>> verdicts_of_runs([{f"test/{kind}": value for kind, value in zip(kinds, (0.03, 0.05, 0.01))}])
    ['Calibrated, the max-approximation is nearer to the dilation (radius 1) than the image itself is (0.05000) \
in 1 of 1 runs, than the dilation of the reconstruction is in 0.']
    """
    found = [_held_against(run) for run in runs]
    sentences = []
    for operator in found[0] if found else ():
        if not all(operator in each for each in found):
            continue
        errors, images, operated = zip(*(each[operator] for each in found), strict=True)
        near_image, near_operated = (
            sum(error < other for error, other in zip(errors, others, strict=True)) for others in (images, operated)
        )
        kind, _, radius = operator.partition(":")
        sentences.append(
            f"Calibrated, the max-approximation is nearer to the {kind} (radius {radius}) than the image itself is "
            f"({_interval(images)}) in {near_image} of {len(runs)} runs, than the {kind} of the "
            f"reconstruction is in {near_operated}."
        )
    return sentences


def _interval(values: Sequence[float]) -> str:
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


def _held_against(measures: Mapping[str, Cell]) -> dict[str, tuple[float, float, float]]:
    """By operator, the calibrated error and the two that it is held against, where all of them were measured."""
    found = {}
    kinds = ("max_approximation_error_calibrated", "image_error", "operated_reconstruction_error")
    for key in measures:
        kind, _, operator = key.removeprefix("test/").partition("/")
        names = [f"test/{each}/{operator}" if operator else f"test/{each}" for each in kinds]
        if kind == kinds[0] and all(name in measures for name in names):
            error, image, operated = (float(measures[name]) for name in names)
            with_gain = measures.get(names[2].replace(kinds[2], f"{kinds[2]}_calibrated"), operated)
            operated = min(operated, float(with_gain))  # the stricter one, where it was measured
            found[operator or str(DILATION)] = (error, image, operated)
    return found


def _label(name: str) -> str:
    if name in LABELS:
        return LABELS[name]
    label = name.replace("_", " ").replace("svm", "SVM").replace("l0", "L0").replace("max approx", "max-approx")
    return label[0].upper() + label[1:]
