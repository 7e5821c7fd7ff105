"""A sweep over seeds: means, deviations, the stability of atoms, bands; and a search, sorted by its metric."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from partae.metrics import stability
from partae.sweep.panels import panels_figure
from partae.sweep.rows import Row, settings
from partae.sweep.seeds import group_by_seed, over_seeds
from partae.sweep.summary import Summary
from tests.sweep.test_summary import job

ERRORS = {"0.001": (0.01, 0.02, 0.06), "0.01": (0.1, 0.3, 0.2)}  # of seeds 0, 1 and 2


def rows(**changes: Any) -> list[Row]:
    runs = [(beta, seed, error) for seed in range(3) for beta, errors in ERRORS.items() for error in [errors[seed]]]
    return [
        {"sparsity.beta": beta, "seed": str(seed), "test/reconstruction_error": error, "test/svm_accuracy_std": 0.03,
         "status": "finished", "folder": f"{beta}-{seed}", **changes}
        for beta, seed, error in runs
    ]  # fmt: skip


def test_rows_of_several_seeds_are_means_and_sample_deviations() -> None:
    rng = np.random.default_rng(0)
    atoms = {f"0.01-{seed}": rng.random((3, 1, 2, 2), dtype=np.float32) for seed in range(3)}
    few, many = over_seeds(rows(), atoms)
    for row, errors in ((few, ERRORS["0.001"]), (many, ERRORS["0.01"])):
        assert row["seeds"] == 3
        assert row["test/reconstruction_error"] == pytest.approx(np.mean(errors))
        assert row["test/reconstruction_error_seed_std"] == pytest.approx(np.std(errors, ddof=1))
        assert row["test/svm_accuracy_std"] == pytest.approx(0.03)  # over splits, not over seeds
    assert "stability" not in few
    one, other, third = (torch.from_numpy(each) for each in atoms.values())
    pairs = [stability(one, other), stability(one, third), stability(other, third)]
    assert many["stability"] == pytest.approx(np.mean(pairs))


def test_what_is_not_finished_or_not_measured_in_all_runs_has_no_mean() -> None:
    runs = rows()
    runs[0]["status"] = "unfinished"
    runs[1]["test/l0"] = 5.0
    few, many = over_seeds(runs)
    assert few["status"] == "2 of 3 finished"
    assert few["test/reconstruction_error"] == pytest.approx(0.04)
    assert "test/l0" not in many


def test_runs_of_two_experiments_are_not_two_seeds_of_one() -> None:
    runs: list[Row] = [
        {"experiment": name, "seed": "0", "test/l0": l0, "status": "finished", "folder": name}
        for name, l0 in (("exact", 1.0), ("swimmer", 3.0))
    ]
    assert [row["test/l0"] for row in over_seeds(runs)] == [1.0, 3.0]
    assert settings(runs) == [{"experiment": "exact"}, {"experiment": "swimmer"}]


def test_one_curve_has_a_band_of_a_deviation() -> None:
    figure = panels_figure(rows())
    assert figure is not None
    (axes,) = [each for each in figure.axes if each.axison]  # no panel for a measure that is the same everywhere
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata()), [0.03, 0.2])
    assert len(axes.collections) == 1
    assert axes.get_xlabel() == "sparsity.beta"


def test_a_sweep_over_seeds_ends_with_a_line_for_each_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, row in enumerate(rows()):
        overrides = [f"{key}={row[key]}" for key in ("sparsity.beta", "seed")]
        job(tmp_path, number, overrides, {"test/reconstruction_error": float(row["test/reconstruction_error"])})
    hydra = {"sweep": {"dir": str(tmp_path)}, "sweeper": {"direction": "maximize"}}
    Summary().on_multirun_end(OmegaConf.create({"hydra": hydra, "metric": "test/reconstruction_error"}))
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines() if " ± " in line]
    assert [line[:2] for line in lines[:2]] == [["0.01", "3"], ["0.001", "3"]], "the best first"
    assert "0.2000 (best)" in out
    assert "0.03000 ± 0.026" in out
    assert "Means over seeds" in out
    with (tmp_path / "sweep_seeds.csv").open() as file:
        written = list(csv.DictReader(file))
    for row, errors in zip(written, ERRORS.values(), strict=True):
        assert float(row["test/reconstruction_error_seed_std"]) == pytest.approx(np.std(errors, ddof=1))


def test_a_search_over_one_seed_is_sorted_and_says_nothing_of_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, error in enumerate((0.2, 0.1)):
        job(tmp_path, number, [f"sparsity.beta={number}", "seed=0"], {"val/loss": error})
    hydra = {"sweep": {"dir": str(tmp_path)}, "sweeper": {"direction": "minimize"}}
    Summary().on_multirun_end(OmegaConf.create({"hydra": hydra, "metric": "val/loss"}))
    out = capsys.readouterr().out
    assert out.index("0.1000 (best)") < out.index("0.2000")
    assert "Means over seeds" not in out
    assert not (tmp_path / "sweep_seeds.csv").exists()


def test_the_order_in_which_settings_were_typed_does_not_matter() -> None:
    rows: list[Row] = [{"p": "1", "beta": "2", "seed": "0"}, {"beta": "2", "p": "1", "seed": "1"}]
    assert group_by_seed(rows) == [rows]
