from __future__ import annotations

import re

import pytest

from partae.metrics import Measures
from partae.metrics.classification import SVM_MEASURES
from partae.metrics.code import DEAD_SHARE
from partae.metrics.meanings import MEANINGS
from partae.morphology import read_operator
from partae.report import collapse, describe, verdicts, verdicts_of_runs


@pytest.mark.parametrize("name", MEANINGS)
def test_every_measure_has_words_without_code_in_them(name: str) -> None:
    words = describe(name)
    assert len(words.meaning) > 10
    assert not re.search(r"[`_{}]|->", " ".join(words))
    assert not words.meaning.endswith(".")


def test_what_is_measured_of_every_model_has_words() -> None:
    assert MEANINGS.keys() >= {*Measures(3).names, *SVM_MEASURES["report"]}
    for name in ("dead_atoms", "usage_frequency"):
        assert f"{DEAD_SHARE:g} of" in MEANINGS[name].meaning


def test_an_operator_and_a_threshold_are_named() -> None:
    words = describe(f"max_approximation_error/{read_operator('opening:2')}")
    assert words.label == "Max-approximation error (opening, radius 2)"
    assert words.meaning.endswith("raw as published, and the opening (radius 2) of the image")
    hat = describe(f"image_error/{read_operator('top_hat:line:5@45')}")
    assert hat.label == "Error of the image itself (top hat, line 5@45)"
    assert words[2:] == ("at least 0", "lower is better")
    assert "exceeds 0.2" in describe("l0", l0_threshold=0.2).meaning


def test_an_unknown_measure_is_called_by_its_name() -> None:
    assert describe("beauty_{x}/of:1") == ("Beauty {x} (of, radius 1)", "", "", "")


def test_the_protocols_of_the_svm_are_told_apart() -> None:
    quick, report = {"test/svm_accuracy": 0.8}, {"test/svm_accuracy": 0.7, "test/svm_c": 1.0}
    assert describe("svm_accuracy", [quick, {}]) == MEANINGS["svm_accuracy"]
    assert describe("svm_accuracy", [report]) == MEANINGS["svm_accuracy_report"]
    assert "two protocols" in describe("svm_accuracy", [quick, report]).meaning


def test_a_verdict_takes_the_stricter_error_of_the_operated_reconstruction() -> None:
    names = ("max_approximation_error_calibrated", "image_error", "operated_reconstruction_error")
    run: dict[str, float] = {f"test/{name}/opening:2": error for name, error in zip(names, (2, 3, 4), strict=True)}
    stricter = run | {"test/operated_reconstruction_error_calibrated/opening:2": 1.0}
    assert "3 for the image itself (beaten), 4 for the opening of the reconstruction (beaten)" in verdicts(run)[0]
    assert "1 for the calibrated opening of the reconstruction (not beaten)" in verdicts(stricter)[0]
    assert verdicts({"test/image_error": 1.0}) == []
    (sentence,) = verdicts_of_runs([run, {**stricter, "test/image_error/opening:2": 2.0}])
    assert sentence.endswith("(2 to 3) in 1 of 2 runs, and the opening of the reconstruction in 1.")
    assert verdicts_of_runs([run, {}]) == []


@pytest.mark.parametrize(
    ("contributing", "variation", "reason"),
    [
        (0.0, 0.0, "no atom adds to the images"),
        (1.0, 0.5, "only 1 atom adds to the images"),
        (50.0, 0.0001, "all images have nearly the same code"),
        (50.0, 0.5, ""),
    ],
)
def test_a_training_that_collapsed_is_named(contributing: float, variation: float, reason: str) -> None:
    measures = {"test/contributing_atoms": contributing, "test/code_variation": variation}
    assert collapse(measures) == reason
    assert verdicts(measures) == ([f"This training collapsed: {reason}."] if reason else [])
    assert not collapse({"test/hoyer_sparsity": 0.5}), "a run of an earlier version was not measured by these"
