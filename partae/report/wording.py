"""Measures in words, and the verdict on a max-approximation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from partae.metrics.meanings import MEANINGS, Meaning
from partae.metrics.measures import DILATION
from partae.report.tables import Cell, number

ALIKE = 0.001  # code variation below which all codes count as alike
CALIBRATED, IMAGE, OPERATED = "max_approximation_error_calibrated", "image_error", "operated_reconstruction_error"


def describe(name: str, runs: Sequence[Mapping[str, Cell]] = (), l0_threshold: float = 0.0) -> Meaning:
    """The words for a measure of some runs; those for an unknown measure are its name.

    Args:
        name: as in metrics.json, without the split: "l0", or "max_approximation_error/opening:2".
        runs: the measures of each run, which tell the two protocols of ``svm_accuracy`` apart.
        l0_threshold: the threshold that ``l0`` was measured with.

    >>> describe("l0", l0_threshold=0.05)
    Meaning(label='L0', meaning='Number of entries of each code whose size exceeds 0.05', range='in [0, K]', \
direction='lower is sparser')
    """
    base, _, operator = name.partition("/")
    known = MEANINGS.get(base, Meaning(base.replace("_", " ").capitalize(), ""))
    if base == "svm_accuracy":
        # only the published protocol chooses C
        protocols = {"test/svm_c" in run for run in runs if "test/svm_accuracy" in run}
        if protocols == {True}:
            known = MEANINGS["svm_accuracy_report"]
        elif len(protocols) > 1:
            both = "Accuracy of a linear SVM, by two protocols that do not compare: the published one where C is given"
            known = known._replace(meaning=both)
    label = f"{known.label} ({', '.join(spell_out(operator))})" if operator else known.label
    meaning = known.meaning.format("{} ({})".format(*spell_out(operator or str(DILATION))), threshold=l0_threshold)
    return known._replace(label=label, meaning=meaning)


def verdicts(measures: Mapping[str, Cell]) -> list[str]:
    """A sentence for each operator: does the max-approximation beat the image and the operated reconstruction?

    Args:
        measures: of the test images, by their names in metrics.json.

    >>> errors = {"max_approximation_error_calibrated": 0.03, "image_error": 0.05}
    >>> verdicts({f"test/{name}": value for name, value in {**errors, "operated_reconstruction_error": 0.01}.items()})
    ['Error against the dilation (radius 1): 0.03000 for the calibrated max-approximation, 0.05000 for the image \
itself (beaten), 0.01000 for the dilation of the reconstruction (not beaten).']

    Where the reconstruction with a gain of its own is nearer, as evaluate.py measures it, it is the one to beat.
    """
    sentences = [f"This training collapsed: {reason}."] if (reason := collapse(measures)) else []
    for operator, (error, image, operated, gain) in _errors(measures).items():
        kind, element = spell_out(operator)
        results = ["beaten" if error < other else "not beaten" for other in (image, operated)]
        sentences.append(
            f"Error against the {kind} ({element}): {number(error)} for the calibrated max-approximation, "
            f"{number(image)} for the image itself ({results[0]}), {number(operated)} for the "
            f"{gain}{kind} of the reconstruction ({results[1]})."
        )
    return sentences


def collapse(measures: Mapping[str, Cell]) -> str:
    """Why a model with these test measures represents nothing; empty if it does not look so.

    >>> collapse({"test/contributing_atoms": 1.0, "test/code_variation": 0.3})
    'only 1 atom adds to the images'
    """
    atoms = float(measures.get("test/contributing_atoms", math.inf))
    if atoms < 2:
        return "only 1 atom adds to the images" if atoms else "no atom adds to the images"
    variation = float(measures.get("test/code_variation", math.inf))
    return "all images have nearly the same code" if variation < ALIKE else ""


def verdicts_of_runs(runs: Sequence[Mapping[str, Cell]]) -> list[str]:
    """A sentence for each operator that all runs were measured with: in how many does the max-approximation win?

    >>> kinds = ("max_approximation_error_calibrated", "image_error", "operated_reconstruction_error")
    >>> verdicts_of_runs([{f"test/{kind}": value for kind, value in zip(kinds, (0.03, 0.05, 0.01))}])
    ['Error against the dilation (radius 1): the calibrated max-approximation beats the image itself (0.05000) in \
1 of 1 runs, and the dilation of the reconstruction in 0.']
    """
    errors_of_runs = [_errors(run) for run in runs]
    sentences = []
    for operator in errors_of_runs[0] if runs else ():
        if not all(operator in errors for errors in errors_of_runs):
            continue
        kind, element = spell_out(operator)
        of_runs = [errors[operator] for errors in errors_of_runs]
        low, high = (number(pick(errors.image for errors in of_runs)) for pick in (min, max))
        beat_image = sum(errors.error < errors.image for errors in of_runs)
        beat_operated = sum(errors.error < errors.operated for errors in of_runs)
        sentences.append(
            f"Error against the {kind} ({element}): the calibrated max-approximation beats the image itself "
            f"({low if low == high else f'{low} to {high}'}) in {beat_image} of {len(runs)} runs, and the "
            f"{kind} of the reconstruction in {beat_operated}."
        )
    return sentences


class Errors(NamedTuple):
    """Of a max-approximation and of what it has to beat, against the operated image."""

    error: float
    image: float
    operated: float  # the lower of the operated reconstruction's errors, with and without a gain
    gain: str  # "calibrated " if it is the one with a gain


def _errors(measures: Mapping[str, Cell]) -> dict[str, Errors]:
    """By operator, the errors to compare; where all but the one with a gain are known."""
    errors = {}
    for key in measures:
        kind, _, operator = key.removeprefix("test/").partition("/")
        if kind != CALIBRATED:
            continue
        names = (CALIBRATED, IMAGE, OPERATED, f"{OPERATED}_calibrated")
        error, image, operated, with_gain = (measures.get(f"test/{name}/{operator}".rstrip("/")) for name in names)
        if error is not None and image is not None and operated is not None:
            calibrated = float(operated if with_gain is None else with_gain)
            stricter = min((float(operated), ""), (calibrated, "calibrated "))
            errors[operator or str(DILATION)] = Errors(float(error), float(image), *stricter)
    return errors


def spell_out(operator: str) -> tuple[str, str]:
    """The kind of an operator and its structuring element, of the name that measures have behind them.

    >>> spell_out("opening:2"), spell_out("top_hat:line:5@45")
    (('opening', 'radius 2'), ('top hat', 'line 5@45'))
    """
    kind, _, element = operator.partition(":")
    return kind.replace("_", " "), f"radius {element}" if element.isdecimal() else element.replace(":", " ")
