from __future__ import annotations

import re

import pytest

from partae.report import wording
from partae.report.wording import KINDS, measure_wording


@pytest.mark.parametrize("name", KINDS)
def test_every_measure_has_words_without_code_in_them(name: str) -> None:
    words = wording(name)
    assert len(words.meaning) > 10
    assert not re.search(r"[`_]|->", " ".join(words))
    assert not words.meaning.endswith(".")


@pytest.mark.parametrize(
    ("name", "interval", "direction"),
    [
        ("reconstruction_error", "at least 0", "lower is better"),
        ("hoyer_sparsity", "in [0, 1]", "higher is sparser"),
        ("max_approximation_error", "at least 0", "lower is better"),
        ("dead_atoms", "in [0, K]", "lower is better"),
        ("explained_variance", "at most 1", "higher is better"),
        ("usage_frequency", "in [0, 1]", ""),
        ("stability", "in [-1, 1]", "higher is better"),
        ("svm_accuracy", "", "higher is better"),
    ],
)
def test_range_and_direction_are_those_of_the_function(name: str, interval: str, direction: str) -> None:
    assert wording(name)[2:] == (interval, direction)


def test_an_operator_and_a_threshold_are_named() -> None:
    words = wording("max_approximation_error/opening:2")
    assert words.label == "Max-approximation error (opening, radius 2)"
    assert words.meaning.endswith(
        "between the max-approximation, raw as published, and the opening (radius 2) of the image"
    )
    assert "exceed 0.01 of" in wording("dead_atoms").meaning
    assert "exceeds 0.2" in wording("l0", threshold=0.2).meaning


def test_an_unknown_measure_is_called_by_its_name() -> None:
    assert wording("beauty/of:1") == ("Beauty (of, radius 1)", "", "", "")


def test_the_words_for_a_measure_say_what_it_was_measured_by() -> None:
    assert "exceeds 0.05" in measure_wording("l0", [], 0.05).meaning
    quick, report = {"test/svm_accuracy": 0.8}, {"test/svm_accuracy": 0.7, "test/svm_c": 1.0}
    assert measure_wording("svm_accuracy", [quick, {}], 0) == wording("svm_accuracy")
    assert measure_wording("svm_accuracy", [report], 0).meaning == wording("svm_accuracy_report").meaning
    assert "two protocols" in measure_wording("svm_accuracy", [quick, report], 0).meaning
