"""What is known of Fashion-MNIST itself, found by whole runs of train.py on all of it."""

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


def command(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / script), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_a_sweep_ends_with_a_row_for_each_job(tmp_path: Path) -> None:
    done = command(
        "train.py", "-m", "sparsity.beta=0.0001,0.01", "trainer.max_epochs=1", f"hydra.sweep.dir={tmp_path / 'sweep'}"
    )
    assert done.returncode == 0, done.stderr
    header, *rows = (tmp_path / "sweep" / "sweep.csv").read_text().splitlines()
    assert "sparsity.beta" in header
    assert "test/reconstruction_error" in header
    assert [row.split(",")[0] for row in rows] == ["0.0001", "0.01"]
    assert "reconstruction_error" in done.stdout
    assert {folder.name for folder in (tmp_path / "sweep").iterdir() if folder.is_dir()} == {
        f"sparsity.beta-{beta}__trainer.max_epochs-1" for beta in ("0.0001", "0.01")
    }


def test_the_default_run_reaches_its_figures_on_the_real_images(tmp_path: Path) -> None:
    done = command("train.py", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    measures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert measures["test/reconstruction_error"] <= 0.0150
    assert measures["test/dead_atoms"] == 0
    assert (partae.load(tmp_path / "run").atoms >= 0).all()

    evaluated = command("evaluate.py", f"ckpt={tmp_path / 'run'}")
    assert evaluated.returncode == 0, evaluated.stderr
    again = json.loads((tmp_path / "run" / "evaluation" / "metrics.json").read_text())
    tested = {key: value for key, value in measures.items() if key.startswith("test/")}
    assert {key: again[key] for key in tested} == pytest.approx(tested, rel=1e-6)


def test_a_linear_auto_encoder_spans_the_principal_subspace(tmp_path: Path) -> None:
    linear = ["encoder.activation=identity", "decoder.activation=identity", "sparsity=none", "constraint=none"]
    longer = ["latent_dim=10", "optimizer.lr=0.002", "trainer.max_epochs=20", f"hydra.run.dir={tmp_path / 'run'}"]
    done = command("train.py", *linear, *longer)
    assert done.returncode == 0, done.stderr
    data = DataModule(FashionMNIST("data"), (1, 28, 28))
    data.prepare_data()
    for stage in ("fit", "test"):
        data.setup(stage)
    pca = PCA(10, svd_solver="covariance_eigh").fit(data.sets["train"][0].flatten(1).numpy())
    test = data.sets["test"][0].flatten(1).numpy()
    error = ((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean()
    measures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert measures["test/reconstruction_error"] == pytest.approx(error, rel=0.01)
    atoms = partae.load(tmp_path / "run").atoms.detach().flatten(1).numpy()
    assert np.cos(subspace_angles(atoms.T, pca.components_.T)).min() >= 0.99


def test_intrinsic_plasticity_brings_each_unit_to_its_mean(tmp_path: Path) -> None:
    done = command("train.py", "model=nnsae", "trainer.max_epochs=20", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    data = DataModule(FashionMNIST("data"), (1, 28, 28))
    data.prepare_data()
    data.setup("fit")
    code, _ = codes(partae.load(tmp_path / "run"), data.batches("val"))
    assert (code.mean(dim=0) - 0.2).abs().max() <= 0.02


def test_the_negative_values_fade_as_lambda_grows(tmp_path: Path) -> None:
    masses, shares = [], []
    for lambda_ in (0.0, 0.0001, 0.01, 0.1):
        folder = tmp_path / str(lambda_)
        options = ["decay=asymmetric_l2", f"decay.lambda_={lambda_}", "constraint=none", "trainer.max_epochs=5"]
        assert command("train.py", *options, f"hydra.run.dir={folder}").returncode == 0
        atoms = partae.load(folder).atoms
        masses.append(negative_mass(atoms).item())
        shares.append((atoms < -0.001).float().mean().item())
    assert masses == sorted(masses, reverse=True)
    assert masses[-1] < 0.01 * masses[0]
    # a squared cost brings negative values to the edge of 0 and no farther: they are counted from a little below it
    assert shares[0] > shares[2] > shares[3] == 0


def test_the_share_of_negative_values_falls_as_lambda_grows(tmp_path: Path) -> None:
    shares = []
    for lambda_ in (0.0, 0.00001, 0.0001):
        folder = tmp_path / str(lambda_)
        options = ["decay=asymmetric_l1", f"decay.lambda_={lambda_}", "constraint=none", "trainer.max_epochs=5"]
        assert command("train.py", *options, f"hydra.run.dir={folder}").returncode == 0
        shares.append(negative_share(partae.load(folder).atoms).item())
    assert shares[0] > 2 * shares[1] > 4 * shares[2]


def test_without_penalty_and_constraint_it_reconstructs_best(tmp_path: Path) -> None:
    done = command("train.py", "sparsity=none", "constraint=none", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    measures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert measures["test/reconstruction_error"] <= 0.0070
