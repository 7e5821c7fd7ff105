from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from partae.run.record import identify, keep_measures

OF = {"model": "a", "images": "b"}


def test_measures_stay_with_what_they_were_measured_by(tmp_path: Path) -> None:
    keep_measures(tmp_path, OF, {"error": (1.0, {"bias": True}), "l0": (5.0, {"l0_threshold": 0.1})})
    found = keep_measures(tmp_path, OF, {"l0": (3.0, {"l0_threshold": 0.2})})
    assert found == json.loads((tmp_path / "metrics.json").read_text()) == {"error": 1.0, "l0": 3.0}
    by = json.loads((tmp_path / "measured_by.json").read_text())["by"]
    assert by == {"error": {"bias": True}, "l0": {"l0_threshold": 0.2}}


@pytest.mark.parametrize("changed", ["model", "images"])
def test_measures_of_another_model_or_other_images_go(changed: str, tmp_path: Path) -> None:
    keep_measures(tmp_path, OF, {"error": (1.0, {})})
    assert keep_measures(tmp_path, {**OF, changed: "other"}, {"l0": (3.0, {})}) == {"l0": 3.0}


def test_measures_by_other_settings_go(tmp_path: Path) -> None:
    report, quick = {"svm": "report", "seed": 0}, {"svm": "quick", "seed": 0}
    keep_measures(
        tmp_path, OF, {"svm_accuracy": (0.8, report), "svm_c": (1.0, report), "dilation": (1.0, {"bias": True})}
    )
    assert keep_measures(tmp_path, OF, {"svm_accuracy": (0.7, quick)}) == {"svm_accuracy": 0.7, "dilation": 1.0}
    assert keep_measures(tmp_path, OF, {"erosion": (2.0, {"bias": False})}) == {"svm_accuracy": 0.7, "erosion": 2.0}


def test_an_evaluation_is_of_a_model_and_of_images_wherever_these_lie(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    file.write_bytes(b"weights")
    data: dict[str, Any] = {"source": {"_target_": "partae.data.Folder", "root": "here", "seed": 0}, "batch_size": 3}
    here = identify(file, OmegaConf.create(data), "images")
    data |= {"source": {**data["source"], "root": "there"}, "batch_size": 4}
    assert identify(file, OmegaConf.create(data), "images") == here
    data |= {"source": {**data["source"], "seed": 1}}
    assert identify(file, OmegaConf.create(data), "images") != here
    data |= {"source": {**data["source"], "seed": 0}, "val_size": 5}
    assert identify(file, OmegaConf.create(data), "images") != here, "a classifier is fitted to other images"
    file.write_bytes(b"others")
    assert identify(file, OmegaConf.create(data), "images")["model"] != here["model"]


def test_images_that_changed_are_others_and_without_a_fingerprint_their_place_tells(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    file.write_bytes(b"weights")
    here, there = (OmegaConf.create({"source": {"root": root}}) for root in ("here", "there"))
    assert identify(file, here, "some") == identify(file, there, "some") != identify(file, here, "others")
    assert identify(file, here, None) != identify(file, there, None)
