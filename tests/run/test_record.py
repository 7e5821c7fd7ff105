from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from partae.run.record import record, subject

OF = {"model": "a", "images": "b"}
REPORT = {"svm": "report", "seed": 0}


def test_measures_stay_with_what_they_were_measured_by(tmp_path: Path) -> None:
    record(tmp_path, OF, {"error": 1.0, "l0": 5.0}, {"error": {"bias": True}, "l0": {"l0_threshold": 0.1}})
    found = record(tmp_path, OF, {"l0": 3.0}, {"l0": {"l0_threshold": 0.2}})
    assert found == json.loads((tmp_path / "metrics.json").read_text()) == {"error": 1.0, "l0": 3.0}
    by = json.loads((tmp_path / "measured_by.json").read_text())["by"]
    assert by == {"error": {"bias": True}, "l0": {"l0_threshold": 0.2}}


@pytest.mark.parametrize("changed", ["model", "images"])
def test_measures_of_another_model_or_other_images_go(changed: str, tmp_path: Path) -> None:
    record(tmp_path, OF, {"error": 1.0}, {"error": {}})
    assert record(tmp_path, {**OF, changed: "other"}, {"l0": 3.0}, {"l0": {}}) == {"l0": 3.0}


def test_the_figures_of_two_protocols_of_an_svm_do_not_mix(tmp_path: Path) -> None:
    record(tmp_path, OF, {"svm_accuracy": 0.8, "svm_c": 1.0}, dict.fromkeys(("svm_accuracy", "svm_c"), REPORT))
    quick = {"svm": "quick", "seed": 0}
    assert record(tmp_path, OF, {"svm_accuracy": 0.7}, {"svm_accuracy": quick}) == {"svm_accuracy": 0.7}


def test_operators_with_the_bias_and_without_do_not_mix(tmp_path: Path) -> None:
    record(tmp_path, OF, {"dilation": 1.0, "l0": 5.0}, {"dilation": {"bias": True}, "l0": {"l0_threshold": 0.1}})
    found = record(tmp_path, OF, {"erosion": 2.0}, {"erosion": {"bias": False}})
    assert found == {"l0": 5.0, "erosion": 2.0}


def test_a_subject_is_the_model_and_the_images_wherever_these_lie(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    file.write_bytes(b"weights")
    data: dict[str, Any] = {"source": {"_target_": "partae.data.Folder", "root": "here", "seed": 0}, "batch_size": 3}
    here = subject(file, OmegaConf.create(data), "images")
    data |= {"source": {**data["source"], "root": "there"}, "batch_size": 4}
    assert subject(file, OmegaConf.create(data), "images") == here
    data |= {"source": {**data["source"], "seed": 1}}
    assert subject(file, OmegaConf.create(data), "images") != here
    file.write_bytes(b"others")
    assert subject(file, OmegaConf.create(data), "images")["model"] != here["model"]


def test_images_that_changed_are_another_subject_and_without_a_fingerprint_their_place_tells(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    file.write_bytes(b"weights")
    here, there = (OmegaConf.create({"source": {"root": root}}) for root in ("here", "there"))
    assert subject(file, here, "some") == subject(file, there, "some") != subject(file, here, "others")
    assert subject(file, here, None) != subject(file, there, None)
