"""Which measures stand in the rows of a sweep."""

from __future__ import annotations

from pathlib import Path

from partae.sweep.rows import evaluated_rows, read_sweep
from tests.sweep.test_summary import job


def test_a_job_that_is_refused_later_has_no_measures_of_before(tmp_path: Path) -> None:
    job(tmp_path, 0, ["sparsity.beta=0.1"], {"test/reconstruction_error": 0.1}, error="the images were changed")
    job(tmp_path, 1, ["sparsity.beta=0.2"], {"test/reconstruction_error": 0.2})
    rows = read_sweep(tmp_path)
    assert [row["status"] for row in rows] == ["failed", "finished"]
    assert ["test/reconstruction_error" in row for row in rows] == [False, True]


def test_an_evaluation_leaves_no_other_measure_of_test_images_beside_its_own(tmp_path: Path) -> None:
    job(tmp_path, 0, ["sparsity.beta=0.1"], {"val/loss": 0.3, "test/svm_accuracy": 0.9, "test/svm_c": 1.0})
    (row,) = evaluated_rows(tmp_path, {"sparsity.beta=0.1": {"test/svm_accuracy": 0.8}})
    assert row["test/svm_accuracy"] == 0.8
    assert row["val/loss"] == 0.3
    assert "test/svm_c" not in row
    assert evaluated_rows(tmp_path, {"another": {"test/a": 1.0}})[1] == {
        "folder": "another",
        "status": "finished",
        "test/a": 1.0,
    }
