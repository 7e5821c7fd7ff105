"""Which runs of a sweep are measured, and which compare."""

from __future__ import annotations

from pathlib import Path

from partae.sweep.evaluation import rows_of
from partae.sweep.front import fronts
from partae.sweep.rows import read_sweep
from tests.sweep.test_summary import job


def test_a_job_that_is_refused_later_has_no_measures_of_before(tmp_path: Path) -> None:
    job(tmp_path, 0, ["sparsity.beta=0.1"], {"test/reconstruction_error": 0.1}, error="the images were changed")
    job(tmp_path, 1, ["sparsity.beta=0.2"], {"test/reconstruction_error": 0.2})
    rows = read_sweep(tmp_path)
    assert [row["status"] for row in rows] == ["failed", "finished"]
    assert ["test/reconstruction_error" in row for row in rows] == [False, True]


def test_runs_compare_unless_a_setting_chooses_other_images() -> None:
    rows: list[dict[str, str | float]] = [
        {"data.batch_size": "64", "test/a": 0.1, "test/b": 0.1, "folder": "one"},
        {"data.batch_size": "128", "test/a": 0.2, "test/b": 0.2, "folder": "other"},
    ]
    assert [row["front"] for row in fronts(rows, ("test/a", "test/b"))] == ["data.batch_size=64"]
    for key in ("data", "data.seed", "+data.source.size", "experiment"):
        for row, value in zip(rows, ("1", "2"), strict=True):
            row[key] = value
        assert len(fronts(rows, ("test/a", "test/b"))) == 2
        for row in rows:
            del row[key]


def test_an_evaluation_leaves_no_other_measure_of_test_images_beside_its_own(tmp_path: Path) -> None:
    job(tmp_path, 0, ["sparsity.beta=0.1"], {"val/loss": 0.3, "test/svm_accuracy": 0.9, "test/svm_c": 1.0})
    (row,) = rows_of(tmp_path, {"sparsity.beta=0.1": {"test/svm_accuracy": 0.8}})
    assert row["test/svm_accuracy"] == 0.8
    assert row["val/loss"] == 0.3
    assert "test/svm_c" not in row
    assert rows_of(tmp_path, {"another": {"test/a": 1.0}})[1] == {
        "folder": "another",
        "status": "finished",
        "test/a": 1.0,
    }
