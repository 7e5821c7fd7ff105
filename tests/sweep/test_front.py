"""The fronts of a sweep: which runs are on them, and which compare."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partae.checks import InputError
from partae.sweep.front import front_figure, front_of, fronts, on_front
from partae.sweep.panels import PANELS
from partae.sweep.rows import read_sweep
from partae.sweep.summary import Summary
from tests.sweep.test_summary import Measures, end, job


def test_the_front_is_drawn_of_validation_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def measures(reconstruction: float, approximation: float) -> Measures:
        errors = {"reconstruction_error": reconstruction, "max_approximation_error_calibrated": approximation}
        return {f"val/{name}": value for name, value in errors.items()} | {f"test/{name}": 1.0 for name in PANELS}

    sweep, other = tmp_path / "sweep", tmp_path / "other"
    for number, pair in enumerate([(0.01, 0.3), (0.02, 0.1), (0.03, 0.2), (0.005, 0.9)]):
        job(sweep, number, [f"sparsity.beta={number}", "seed=0"], measures(*pair))
    job(sweep, 4, ["sparsity.beta=4", "seed=0"], {"test/reconstruction_error": 0.01})  # of an earlier version
    job(other, 0, ["model=pca"], measures(0.04, 0.05))
    end(sweep, front=True, beside=[str(other), str(tmp_path / "none")])
    assert [row["sparsity.beta"] for row in front_of(read_sweep(sweep))] == ["3", "0", "1"]
    assert (sweep / "front.pdf").exists()
    out = capsys.readouterr().out
    assert "Runs on the front" in out
    assert f"{tmp_path / 'none'} has no finished runs with a calibrated error" in out
    figure = front_figure(read_sweep(sweep), {"pca": read_sweep(other)[0]})
    assert [text.get_text() for text in figure.axes[0].texts] == ["1"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1  pca"]


def test_fronts_say_which_model_is_best_by_two_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {"pca": (0.01, 0.5, 0.8), "nmf": (0.02, 0.6, 0.9), "kmeans": (0.03, 0.6, 0.7)}
    keys = ["test/reconstruction_error", "test/hoyer_sparsity", "test/svm_accuracy", "test/l0"]
    number = 0
    for data, factor in (("bars", 1.0), ("swimmer", 10.0)):
        for model, values in found.items():
            for seed in (0, 1):
                measures = {key: factor * value + seed for key, value in zip(keys, values, strict=False)}
                job(tmp_path, number, [f"data={data}", f"model={model}", f"seed={seed}"], measures)
                number += 1
    end(tmp_path, fronts=keys)
    with (tmp_path / "fronts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["data"] for row in rows] == ["bars"] * 6 + ["swimmer"] * 6
    by_pair = {(row["first"], row["second"]): row["front"] for row in rows[:6]}
    error, sparsity, accuracy, l0 = keys
    assert by_pair[error, sparsity] == by_pair[error, accuracy] == "pca, nmf"
    assert by_pair[sparsity, accuracy] == "nmf"
    assert by_pair[error, l0] == "no run has both"
    assert "pca, nmf" in capsys.readouterr().out


def test_fronts_do_not_compare_other_images_and_leave_out_what_is_no_number() -> None:
    rows = [
        {"data": "torchvision", "data.source.dataset": images, "model": model, "test/a": error, "test/b": error,
         "folder": f"{images}{model}"}
        for images in ("CIFAR10", "SVHN")
        for model, error in (("pca", 0.1), ("nmf", 0.2), ("kmeans", float("nan")))
    ]  # fmt: skip
    assert [row["front"] for row in fronts(rows, ["test/a", "test/b"])] == ["pca", "pca"]


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


@pytest.mark.parametrize("measure", ["test/svm_acuracy", "test/mean_activation"])
def test_a_front_is_of_measures_that_have_a_better_end(measure: str) -> None:
    with pytest.raises(InputError, match=f"lower or higher is better.* got '{measure}'"):
        Summary(fronts=["test/reconstruction_error", measure])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_no_point_of_the_front_is_beaten(pairs: list[tuple[int, int]]) -> None:
    for point, on in zip(pairs, on_front(np.array(pairs, dtype=float)), strict=True):
        beaten = any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in pairs)
        assert on == (not beaten)
