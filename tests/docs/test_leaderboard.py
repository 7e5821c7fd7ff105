"""The tables of the leaderboard are those of its runs."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from omegaconf import OmegaConf

from partae.run.run_folder import finish
from tests.command_line import type_in
from tests.conftest import CONF
from tests.docs.shown import ROOT

MEASURES = {"test/reconstruction_error": 0.0125, "test/max_approximation_error_calibrated": 0.02}
MEASURES |= {"test/image_error": 0.05, "test/hoyer_sparsity": 0.5, "test/knn_accuracy": 0.8, "test/clustering_nmi": 0.5}


@pytest.fixture
def leaderboard() -> ModuleType:
    """docs/leaderboard.py, which is in no package."""
    specification = importlib.util.spec_from_file_location("leaderboard", ROOT / "docs" / "leaderboard.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def add_run(sweep: Path, model: str, k: int, seed: int, measures: dict[str, float], images: str = "swimmer") -> None:
    folder = sweep / f"{images}_{model}_{k}_{seed}" / ".hydra"
    folder.mkdir(parents=True)
    overrides = [f"experiment/leaderboard@_global_={model}", f"experiment/images@_global_={images}"]
    overrides += [f"latent_dim={k}", f"seed={seed}", "experiment=leaderboard"]
    OmegaConf.save(OmegaConf.create(overrides), folder / "overrides.yaml")
    OmegaConf.save({"hydra": {"mode": "MULTIRUN", "job": {"num": seed}}}, folder / "hydra.yaml")
    OmegaConf.save({"seed": seed}, folder / "config.yaml")
    finish(folder.parent, MEASURES | measures, 3.0)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_a_row_of_the_leaderboard_is_the_mean_over_its_seeds(
    leaderboard: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, error in enumerate((0.01, 0.02, 0.03)):
        measures = {"test/reconstruction_error": error, "fit_seconds": 1200.0 + 40 * seed}
        add_run(tmp_path / "sweep", "nmf", 25, seed, measures)
    add_run(tmp_path / "sweep", "pca", 25, 0, {"test/part_recovery": 0.75})
    add_run(tmp_path / "sweep", "pca", 100, 0, {"test/clustering_nmi": 0.25})
    add_run(tmp_path / "sweep", "pca", 25, 0, {"test/clustering_nmi": 1.0}, images="digits")
    leaderboard.main(tmp_path / "sweep", tmp_path / "tables")
    assert "3 rows" in capsys.readouterr().out
    assert [row["model"] for row in rows(tmp_path / "tables" / "digits.csv")] == ["pca"]

    few, nmf, many = rows(tmp_path / "tables" / "swimmer.csv")
    assert [few["model"], nmf["model"], many["k"]] == ["pca", "nmf", "100"]
    assert nmf["reconstruction error"] == "0.02\u00a0±\u00a00.01"
    assert leaderboard.with_deviation(0.0201, 2e-5) == "0.02010\u00a0±\u00a00.00002"
    assert leaderboard.with_deviation(3.4e-7, 7e-8) == "(3.4\u00a0±\u00a00.7)e-7"
    assert (nmf["NMI"], nmf["seeds"], nmf["fit, seconds"]) == ("0.5000", "3", "1240\u00a0±\u00a040")
    assert (few["reconstruction error"], few["part recovery"], nmf["part recovery"]) == ("0.01250", "0.7500", "")
    fronts = rows(tmp_path / "tables" / "fronts.csv")
    assert {"images": "swimmer", "k": "25", "beside the error": "NMI", "front": "pca"} in fronts
    assert len(fronts) == 3 * len(leaderboard.FRONTS)
    with pytest.raises(SystemExit, match="no finished runs"):
        leaderboard.main(tmp_path / "tables", tmp_path / "tables")


@pytest.mark.slow
def test_every_model_of_the_leaderboard_has_its_row(leaderboard: ModuleType, tmp_path: Path) -> None:
    tiny = ["experiment/images@_global_=digits", "latent_dim=4", "trainer.max_epochs=1", "hydra.sweep.dir=leaderboard"]
    outcome = type_in("train.py", ["-m", "experiment=leaderboard_quick", *tiny], tmp_path)
    assert outcome.status == 0, outcome.err
    trained = rows(tmp_path / "leaderboard" / "sweep.csv")
    models = {row["experiment/leaderboard@_global_"] for row in trained}
    assert models == {file.stem for file in (CONF / "experiment" / "leaderboard").glob("*.yaml")}
    assert all(0 < float(row["test/reconstruction_error"]) < 1 for row in trained)
    assert (tmp_path / "leaderboard" / "sweep.html").exists()
    leaderboard.main(tmp_path / "leaderboard", tmp_path / "tables")
    drawn = {file.stem for file in (tmp_path / "tables").glob("*.png")}
    assert drawn == {"digits", "digits_atoms"}
