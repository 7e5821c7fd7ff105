"""Whole runs of train.py on Fashion-MNIST reach the figures that are known of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

import partae
from partae.data import DataModule, FashionMNIST
from partae.metrics import codes, negative_mass, negative_share
from tests.command_line import ROOT

pytestmark = pytest.mark.slow


def command(script: str, *arguments: str) -> str:
    """Run a script in a process of its own, which must succeed, and return what it printed."""
    line = [sys.executable, str(ROOT / script), *arguments]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def measures_of(folder: Path) -> dict[str, float]:
    measures: dict[str, float] = json.loads((folder / "metrics.json").read_text())
    return measures


def images(stage: str) -> DataModule:
    data = DataModule(FashionMNIST("data"), (1, 28, 28))
    data.prepare_data()
    data.setup(stage)
    return data


def test_a_sweep_ends_with_a_table_and_names_each_folder_after_its_job(tmp_path: Path) -> None:
    printed = command(
        "train.py", "-m", "sparsity.beta=0.0001,0.01", "trainer.max_epochs=1", f"hydra.sweep.dir={tmp_path}"
    )
    assert "reconstruction_error" in printed
    header, *rows = (tmp_path / "sweep.csv").read_text().splitlines()
    assert {"sparsity.beta", "test/reconstruction_error"} <= set(header.split(","))
    assert [row.split(",")[0] for row in rows] == ["0.0001", "0.01"]
    names = {f"sparsity.beta-{beta}__trainer.max_epochs-1" for beta in ("0.0001", "0.01")}
    assert {folder.name for folder in tmp_path.iterdir() if folder.is_dir()} == names


def test_the_default_run_reaches_its_figures_on_the_real_images(tmp_path: Path) -> None:
    command("train.py", f"hydra.run.dir={tmp_path / 'run'}")
    measures = measures_of(tmp_path / "run")
    assert measures["test/reconstruction_error"] <= 0.0150
    assert measures["test/dead_atoms"] == 0
    assert (partae.load(tmp_path / "run").atoms >= 0).all()

    command("evaluate.py", f"ckpt={tmp_path / 'run'}")
    again = measures_of(tmp_path / "run" / "evaluation")
    tested = {key: value for key, value in measures.items() if key.startswith("test/")}
    assert {key: again[key] for key in tested} == pytest.approx(tested, rel=1e-6)


def test_a_linear_auto_encoder_spans_the_principal_subspace(tmp_path: Path) -> None:
    linear = ["encoder.activation=identity", "decoder.activation=identity", "sparsity=none", "constraint=none"]
    longer = ["latent_dim=10", "optimizer.lr=0.002", "trainer.max_epochs=20", f"hydra.run.dir={tmp_path / 'run'}"]
    command("train.py", *linear, *longer)
    data = images("fit")
    data.setup("test")
    pca = PCA(10, svd_solver="covariance_eigh").fit(data.sets["train"][0].flatten(1).numpy())
    test = data.sets["test"][0].flatten(1).numpy()
    error = ((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean()
    measures = measures_of(tmp_path / "run")
    assert measures["test/reconstruction_error"] == pytest.approx(error, rel=0.01)
    atoms = partae.load(tmp_path / "run").atoms.detach().flatten(1).numpy()
    assert np.cos(subspace_angles(atoms.T, pca.components_.T)).min() >= 0.99


def test_intrinsic_plasticity_brings_each_unit_to_its_mean(tmp_path: Path) -> None:
    command("train.py", "model=nnsae", "trainer.max_epochs=20", f"hydra.run.dir={tmp_path / 'run'}")
    code, _ = codes(partae.load(tmp_path / "run"), images("fit").batches("val"))
    assert (code.mean(dim=0) - 0.2).abs().max() <= 0.02


def test_the_negative_values_fade_as_lambda_grows(tmp_path: Path) -> None:
    masses, shares = [], []
    for lambda_ in (0.0, 0.0001, 0.01, 0.1):
        folder = tmp_path / str(lambda_)
        options = ["decay=asymmetric_l2", f"decay.lambda_={lambda_}", "constraint=none", "trainer.max_epochs=5"]
        command("train.py", *options, f"hydra.run.dir={folder}")
        atoms = partae.load(folder).atoms
        masses.append(negative_mass(atoms).item())
        shares.append((atoms < -0.001).float().mean().item())
    assert masses == sorted(masses, reverse=True)
    assert masses[-1] < 0.01 * masses[0]
    # a squared cost brings negative values close to 0 and no farther: count those a little below it
    assert shares[0] > shares[2] > shares[3] == 0


def test_the_share_of_negative_values_falls_as_lambda_grows(tmp_path: Path) -> None:
    shares = []
    for lambda_ in (0.0, 0.00001, 0.0001):
        folder = tmp_path / str(lambda_)
        options = ["decay=asymmetric_l1", f"decay.lambda_={lambda_}", "constraint=none", "trainer.max_epochs=5"]
        command("train.py", *options, f"hydra.run.dir={folder}")
        shares.append(negative_share(partae.load(folder).atoms).item())
    assert shares[0] > 2 * shares[1] > 4 * shares[2]


def test_without_penalty_and_constraint_it_reconstructs_best(tmp_path: Path) -> None:
    command("train.py", "sparsity=none", "constraint=none", f"hydra.run.dir={tmp_path / 'run'}")
    measures = measures_of(tmp_path / "run")
    assert measures["test/reconstruction_error"] <= 0.0070
