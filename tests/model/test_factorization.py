"""Factorizations as models: the same verbs, run folder and measures as an auto-encoder's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from pytorch_lightning import Trainer
from sklearn.base import BaseEstimator
from sklearn.cluster import FeatureAgglomeration, KMeans
from sklearn.decomposition import (
    NMF,
    PCA,
    DictionaryLearning,
    FactorAnalysis,
    FastICA,
    IncrementalPCA,
    KernelPCA,
    SparsePCA,
    TruncatedSVD,
)
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn import functional as F

import partae
from partae import Factorization
from partae.checks import InputError
from partae.data import DataModule, FashionMNIST
from partae.decoder import Dictionary
from partae.metrics import measure
from partae.model import LeastSquares, Nearest, NonNegativeLeastSquares
from partae.nmf import SparseNMF
from partae.run.build import hyperparameters
from partae.run.training import train
from partae.sweep.evaluation import evaluate
from tests.conftest import Compose
from tests.test_train import MEASURES

MODELS = ["pca", "fastica", "nmf", "sparse_nmf", "kmeans", "dictionary_learning"]
BARS = ["data=bars", "latent_dim=16", "trainer.accelerator=cpu", "data.source.train_size=400"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


def brief(model: str) -> list[str]:
    short = ["model.estimator.max_iter=20", "model.estimator.tol=0"]
    return [f"model={model}", *BARS, *(short if model.endswith("nmf") else [])]


@pytest.mark.parametrize("name", MODELS)
def test_a_run_leaves_what_a_run_of_an_auto_encoder_leaves(name: str, composed: Compose, folder: Path) -> None:
    cfg = composed(*brief(name))
    measures = train(cfg, folder)
    written = json.loads((folder / "metrics.json").read_text())
    assert written.pop("wall_time") > 0
    assert written == measures
    assert {f"{split}/{each}" for split in ("val", "test") for each in MEASURES} <= measures.keys()

    model = partae.load(folder)
    assert isinstance(model, Factorization)
    data: DataModule = instantiate(cfg.data)
    for stage in ("fit", "test"):
        data.setup(stage)
    images = data.sets["test"][0]
    estimator = instantiate(cfg.model).fit(data.sets["train"][0]).estimator
    flat = images.flatten(1).double().numpy()
    expected = np.eye(16)[estimator.predict(flat)] if name == "kmeans" else estimator.transform(flat)
    np.testing.assert_allclose(model.encode(images).numpy(), expected, atol=0.01 * expected.max())
    again = measure(model, data.batches("test"))
    assert {f"test/{key}": value for key, value in again.items()}.items() <= measures.items()


def test_the_loss_of_the_training_is_that_of_all_its_images(composed: Compose, folder: Path) -> None:
    cfg = composed(*brief("pca"))
    train(cfg, folder)
    data = instantiate(cfg.data)
    data.check()
    model = partae.load(folder)
    assert isinstance(model, Factorization)
    expected = model.losses(data.sets["train"][0])["reconstruction"].item()
    (value,) = [event.value for event in EventAccumulator(str(folder)).Reload().Scalars("train/reconstruction")]
    assert value == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["pca", "nmf"])
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_half_precision_is_refused(precision: str, name: str, composed: Compose, folder: Path) -> None:
    with pytest.raises(InputError, match=rf"trainer\.precision={precision} is too coarse"):
        train(composed(*brief(name), f"trainer.precision={precision}"), folder)


@pytest.mark.parametrize("name", ["pca", "sparse_nmf", "sparse_dbn"])
def test_several_devices_are_refused(name: str, composed: Compose) -> None:
    model = instantiate(composed(f"model={name}", *BARS).model)
    model.trainer = Trainer(accelerator="cpu", devices=2, logger=False)
    with pytest.raises(InputError, match=f"model {type(model).__name__} trains on one device"):
        model.setup("fit")


@pytest.mark.parametrize("quiet", [True, False])
def test_its_iterations_have_a_bar_unless_the_run_is_quiet(
    quiet: bool, composed: Compose, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(composed(*brief("nmf"), f"quiet={quiet}"), folder)
    printed = "".join(capsys.readouterr())
    assert ("NMF:" in printed) is not quiet
    assert ("0/20 [" in printed) is not quiet


@pytest.mark.slow
def test_evaluate_measures_and_draws_it(composed: Compose, folder: Path) -> None:
    measures = train(composed(*brief("pca")), folder)
    options = [f"ckpt={folder}", "data=bars", "data.source.train_size=400"]
    evaluation = evaluate(composed(*options, config="evaluate"))
    found, written = evaluation.measures, evaluation.folder
    assert {key: found["model"][key] for key in measures if key.startswith("test/")}.items() <= measures.items()
    assert {"atoms", "max_approximations"} <= {file.stem for file in written.iterdir()}


def test_tensorboard_holds_pictures_and_what_was_chosen(composed: Compose, folder: Path) -> None:
    train(composed(*brief("pca")), folder)
    images, tags = set(), set()
    for file in folder.glob("events.*"):
        accumulator = EventAccumulator(str(file)).Reload()
        images |= set(accumulator.Tags()["images"])
        tags |= set(accumulator.summary_metadata)
    assert images == {"atoms", "images"}
    assert "_hparams_/session_start_info" in tags


def test_hyperparameters_are_those_that_the_model_takes(composed: Compose) -> None:
    shown = hyperparameters(composed("model=sparse_nmf", "sparsity.beta=0.1"))
    assert shown["model"] == "Factorization"
    assert shown["model.estimator"] == "SparseNMF"
    assert shown["model.estimator.sparseness_of_code"] == 0.6
    assert shown["model.encoder"] == "NonNegativeLeastSquares"
    assert not {"encoder", "sparsity", "sparsity.beta", "optimizer", "trainer.max_epochs"} & shown.keys()


def test_any_estimator_of_scikit_learn_is_one_file(composed: Compose, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "svd.yaml").write_text(
        "defaults: [factorization, _self_]\n"
        "decoder: {biased: false}\n"
        "estimator: {_target_: sklearn.decomposition.TruncatedSVD, n_components: '${latent_dim}'}\n"
    )
    cfg = composed(f"hydra.searchpath=[{tmp_path}]", "model=svd", *BARS)
    measures = train(cfg, tmp_path / "run")
    assert measures["test/reconstruction_error"] < 0.05
    assert not partae.load(tmp_path / "run").bias.any()


def factorization(estimator: BaseEstimator | None, encoder: nn.Module | None = None) -> Factorization:
    return Factorization(encoder or LeastSquares(), Dictionary((1, 5, 5), 6, "identity"), estimator)


@pytest.mark.parametrize(
    "estimator",
    [
        PCA(6, whiten=True),
        IncrementalPCA(6),
        FastICA(6, whiten_solver="eigh", tol=0.1, random_state=0),
        FastICA(6, whiten="arbitrary-variance", tol=0.1, random_state=0),
        TruncatedSVD(6, algorithm="arpack"),
    ],
    ids=str,
)
def test_it_reconstructs_as_its_estimator_does(estimator: Any) -> None:
    images, others = torch.rand(200, 1, 5, 5) ** 2, torch.rand(30, 1, 5, 5) ** 2
    model = factorization(estimator).fit(images)
    flat = others.flatten(1).double().numpy()
    expected, found = estimator.inverse_transform(estimator.transform(flat)), model.reconstruct(others)
    np.testing.assert_allclose(found.flatten(1).numpy(), expected, atol=1e-4)
    assert F.mse_loss(found, others).item() == pytest.approx(((expected - flat) ** 2).mean(), abs=1e-6)


POSITIVE = {"positive_code": True, "positive_dict": True, "fit_algorithm": "cd", "transform_algorithm": "lasso_cd"}


@pytest.mark.parametrize(
    ("estimator", "encoder"),
    [
        (PCA(6, whiten=True), LeastSquares()),
        (FastICA(6, tol=0.1, random_state=0), LeastSquares()),
        (SparsePCA(6, max_iter=5, random_state=0), LeastSquares()),
        (NMF(6, init="nndsvda", max_iter=500, tol=1e-3), NonNegativeLeastSquares()),
        (SparseNMF(6, max_iter=5, tol=0, random_state=0), NonNegativeLeastSquares()),
        (DictionaryLearning(6, alpha=0.1, max_iter=2, random_state=0, **POSITIVE), NonNegativeLeastSquares(l1=0.1)),
        (FeatureAgglomeration(6), LeastSquares()),
        (make_pipeline(StandardScaler(with_std=False), PCA(6)), LeastSquares()),
    ],
    ids=str,
)
def test_it_decodes_as_its_estimator_does(estimator: Any, encoder: nn.Module) -> None:
    images = torch.rand(100, 1, 5, 5) ** 2
    model = factorization(estimator, encoder).fit(images)
    code = estimator.transform(images.flatten(1).double().numpy())
    decoded = model.decode(torch.from_numpy(code).float()).flatten(1)
    np.testing.assert_allclose(decoded.numpy(), estimator.inverse_transform(code), atol=1e-5)


@pytest.mark.parametrize(
    ("estimator", "encoder"),
    [
        (NMF(6, init="nndsvda", max_iter=500, tol=1e-3), LeastSquares()),
        (PCA(6), NonNegativeLeastSquares()),
        (make_pipeline(StandardScaler(), PCA(6)), LeastSquares()),  # its squares are of pixels that were rescaled
        (KMeans(6, n_init=1, random_state=0), LeastSquares()),
        (DictionaryLearning(6, max_iter=2, random_state=0), LeastSquares()),  # codes by orthogonal matching pursuit
        (DictionaryLearning(6, alpha=0.1, max_iter=2, random_state=0, **POSITIVE), NonNegativeLeastSquares()),
        (
            SparseNMF(6, sparseness_of_code=0.8, code_sparseness_per="image", max_iter=5, tol=0, random_state=0),
            NonNegativeLeastSquares(),
        ),
    ],
    ids=str,
)
def test_another_code_than_that_of_the_estimator_is_refused_with_both_errors(
    estimator: Any, encoder: nn.Module
) -> None:
    images = torch.rand(100, 1, 5, 5) ** 2 * torch.linspace(0.4, 1, 5)
    with pytest.raises(InputError, match=r"reconstructs training images with an error of ") as refused:
        factorization(estimator, encoder).fit(images)
    data = images.flatten(1).double().numpy()
    if isinstance(estimator, KMeans):
        own = estimator.cluster_centers_[estimator.predict(data)]
    else:
        own = estimator.inverse_transform(estimator.transform(data))
    error, other = map(float, re.findall(r"error (?:of|is) ([\d.e-]+\d)", str(refused.value)))
    assert error == pytest.approx(((own - data) ** 2).mean(), rel=1e-3)
    assert abs(other - error) > 0.005 * error
    assert type(encoder).__name__ in str(refused.value)


def test_centers_of_clusters_are_atoms() -> None:
    images = torch.rand(100, 1, 5, 5)
    kmeans = KMeans(6, n_init=1, random_state=0)
    model = factorization(kmeans, Nearest()).fit(images)
    np.testing.assert_allclose(model.atoms.flatten(1).numpy(), kmeans.cluster_centers_, atol=1e-6)
    assert not model.bias.any()


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (KernelPCA(6, kernel="rbf", fit_inverse_transform=True), "its inverse_transform is not linear"),
        (KernelPCA(6), "fit_inverse_transform"),
        (FactorAnalysis(6, max_iter=5, tol=10), "neither inverse_transform nor cluster_centers_"),
        (BernoulliRBM(6, n_iter=1), "neither inverse_transform nor cluster_centers_"),
    ],
    ids=str,
)
def test_an_estimator_that_does_not_decode_by_atoms_is_refused(estimator: Any, message: str) -> None:
    name = type(estimator).__name__
    with pytest.raises(InputError, match=rf"model\.estimator={name} cannot be fitted: .*{message}"):
        factorization(estimator).fit(torch.rand(50, 1, 5, 5))


@pytest.mark.parametrize("estimator", [PCA(5), KMeans(7, n_init=1), PCA()], ids=str)
def test_another_number_of_components_than_atoms_is_said_in_one_message(estimator: Any) -> None:
    with pytest.raises(
        InputError, match=r"has \d+ components of 25 pixels, but the decoder 6 atoms of 25: give it latent_dim"
    ):
        factorization(estimator).fit(torch.rand(50, 1, 5, 5))


def test_what_cannot_be_fitted_is_said_in_one_message(composed: Compose, folder: Path) -> None:
    with pytest.raises(InputError, match=r"estimator=PCA cannot be fitted: n_components=65"):
        train(composed(*brief("pca"), "latent_dim=65"), folder)
    with pytest.raises(InputError, match=r"sparseness_of_code must be .*got 2"):
        train(composed(*brief("sparse_nmf"), "model.estimator.sparseness_of_code=2"), folder)
    with pytest.raises(InputError, match=r"without model\.estimator cannot be trained"):
        factorization(None).fit(torch.rand(9, 1, 5, 5))


def test_a_constraint_that_would_do_nothing_is_refused(composed: Compose, folder: Path) -> None:
    with pytest.raises(InputError, match=r"constraint=nonnegative .* choose constraint=none"):
        train(composed(*brief("pca"), "constraint=nonnegative"), folder)


@pytest.mark.slow
def test_the_error_on_the_real_test_images_is_that_of_scikit_learn(composed: Compose, folder: Path) -> None:
    measures = train(composed("model=pca"), folder)
    data = DataModule(FashionMNIST("data"), (1, 28, 28))
    data.prepare_data()
    for stage in ("fit", "test"):
        data.setup(stage)
    train_images, test_images = (data.sets[split][0].flatten(1).numpy() for split in ("train", "test"))
    pca = PCA(100, svd_solver="full").fit(train_images)
    error = ((pca.inverse_transform(pca.transform(test_images)) - test_images) ** 2).mean()
    assert measures["test/reconstruction_error"] == pytest.approx(error, abs=1e-6)
