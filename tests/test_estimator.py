from __future__ import annotations

import os
import pickle
import random
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from partae import PartAutoEncoder, dilation
from partae.checks import InputError
from partae.constraint import NonNegative, UnitNorm
from partae.data import Bars
from partae.sparsity import KL, NoSparsity


def images(count: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Images of bars (N, 1, 8, 8) and which way most of them lie."""
    drawn, labels = Bars(train_size=count).load("train")
    return drawn.numpy(), labels.numpy()


def estimator(**arguments: Any) -> PartAutoEncoder:
    return PartAutoEncoder(**{"latent_dim": 16, "max_epochs": 2, "random_state": 0, "accelerator": "cpu", **arguments})


@pytest.mark.slow
@parametrize_with_checks([PartAutoEncoder(latent_dim=2, max_epochs=1, accelerator="cpu")])  # type: ignore[untyped-decorator]
def test_is_an_estimator(estimator: PartAutoEncoder, check: Callable[[PartAutoEncoder], None]) -> None:
    check(estimator)


@pytest.mark.slow
def test_its_code_serves_a_classifier_in_a_pipeline() -> None:
    X, _ = images(2000)  # noqa: N806
    has_first_row = X[:, 0, 0].min(axis=1) == 1
    pipeline = make_pipeline(estimator(max_epochs=20), LinearSVC())
    scores = cross_val_score(pipeline, X.reshape(len(X), -1), has_first_row, cv=3, scoring="balanced_accuracy")
    assert scores.mean() > 0.95  # chance is 0.5


def test_a_grid_search_chooses_among_penalties_and_numbers_of_numpy() -> None:
    X, labels = images(120)  # noqa: N806
    choices = {"sparsity": [NoSparsity, KL(0.1, 0.01)], "latent_dim": np.array([4]), "hidden": [np.array([5])]}
    choices |= {"learning_rate": np.array([0.01], np.float32)}
    encoder = estimator(max_epochs=np.int64(1), batch_size=np.int64(16))
    grid = {f"partautoencoder__{name}": values for name, values in choices.items()}
    search = GridSearchCV(make_pipeline(encoder, LogisticRegression()), grid, cv=2)
    search.fit(X.reshape(len(X), -1), labels)
    best = search.best_estimator_[0]
    assert type(clone(best).latent_dim) is np.int64
    assert best.auto_encoder_.encoder.hidden == (5,)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_images_keep_their_shape_and_their_unit() -> None:
    X, _ = images()  # noqa: N806
    fitted = estimator().fit(255 * X)
    assert fitted.components_.shape == (16, 64)
    assert fitted.scale_ == 255
    assert (fitted.components_ >= 0).all()
    code = fitted.transform(255 * X)
    assert fitted.inverse_transform(code).shape == X.shape
    assert fitted.inverse_transform(code).max() > 10
    np.testing.assert_allclose(code, estimator().fit_transform(X), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(code, fitted.transform(255 * X.reshape(len(X), -1)), rtol=0, atol=0)
    approximation = fitted.auto_encoder_.max_approximation(X[:3], dilation(1))
    assert approximation.shape == (3, 1, 8, 8)


def test_components_are_the_atoms_that_a_linear_decoder_adds_up() -> None:
    X, _ = images()  # noqa: N806
    fitted = estimator(decoder_activation="identity").fit(3 * X.reshape(len(X), -1))
    code = fitted.transform(3 * X.reshape(len(X), -1))
    bias = fitted.auto_encoder_.bias.numpy().ravel() * fitted.scale_
    np.testing.assert_allclose(fitted.inverse_transform(code), code @ fitted.components_ + bias, rtol=1e-5, atol=1e-5)


def test_whole_numbers_and_lists_mean_what_the_same_floats_mean() -> None:
    X = np.random.default_rng(0).integers(0, 9, (20, 6)).astype(np.uint8)  # noqa: N806
    fitted: Any = estimator(latent_dim=3, max_epochs=1).fit(X.astype(float))
    one_hot = np.eye(3, dtype=int)
    for verb, whole in ((fitted.transform, X), (fitted.inverse_transform, one_hot)):
        expected = verb(whole.astype(float))
        for given in (whole, whole.tolist(), torch.from_numpy(whole)):
            np.testing.assert_array_equal(verb(given), expected)


def test_score_is_the_share_of_the_variance_that_is_explained() -> None:
    X, _ = images()  # noqa: N806
    flat = X.reshape(len(X), -1)
    fitted = estimator(sparsity=NoSparsity, max_epochs=15).fit(flat)
    reconstruction = fitted.inverse_transform(fitted.transform(flat))
    assert fitted.score(flat) == pytest.approx(
        r2_score(flat, reconstruction, multioutput="variance_weighted"), rel=1e-4
    )
    assert fitted.score(flat) > estimator(sparsity=NoSparsity, max_epochs=1).fit(flat).score(flat)


def weights(fitted: PartAutoEncoder) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in fitted.auto_encoder_.state_dict().values())


@pytest.mark.parametrize("hidden", [(), (5,)])
def test_fits_at_once_in_threads_give_what_one_alone_gives(hidden: tuple[int, ...]) -> None:
    X, _ = images(50)  # noqa: N806

    def fit(_: int) -> bytes:
        return weights(estimator(latent_dim=4, hidden=hidden).fit(X))

    alone = fit(0)
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(fit, range(8))) == {alone}


def test_a_fit_neither_changes_nor_depends_on_global_states(monkeypatch: pytest.MonkeyPatch) -> None:
    X, _ = images(50)  # noqa: N806
    expected = weights(estimator().fit(X))
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    torch.manual_seed(1)

    def states() -> tuple[object, ...]:
        return torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate(), dict(os.environ)  # noqa: NPY002

    before = states()
    assert weights(estimator().fit(X)) == expected
    assert states() == before


class Interrupted(Callback):
    """Ctrl-C in the first batch."""

    def on_train_batch_start(self, *_: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGINT)
        else:
            raise KeyboardInterrupt


@pytest.mark.parametrize("own", [True, False])
def test_ctrl_c_interrupts_the_users_program_and_does_so_again(own: bool) -> None:
    def handler(*_: object) -> None:
        raise KeyboardInterrupt("own")

    X, _ = images(20)  # noqa: N806
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    chosen: Any = handler if own else signal.default_int_handler
    signal.signal(signal.SIGINT, chosen)
    try:
        with pytest.raises(KeyboardInterrupt, match="^own$" if own else "^$"):
            estimator(constraint=Interrupted).fit(X)
        assert signal.getsignal(signal.SIGINT) is chosen
        assert signal.getsignal(signal.SIGTERM) is before[1]
    finally:
        signal.signal(signal.SIGINT, before[0])


def test_an_interrupt_in_a_thread_stays_one() -> None:
    X, _ = images(20)  # noqa: N806
    before = signal.getsignal(signal.SIGINT)
    raised: list[type[BaseException]] = []

    def fit() -> None:
        try:
            estimator(constraint=Interrupted).fit(X)
        except BaseException as error:
            raised.append(type(error))

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert raised == [KeyboardInterrupt]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    "cluster",
    [
        {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "x", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0"},
        {"WORLD_SIZE": "4", "RANK": "1", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "1"}
        | {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500", "GROUP_RANK": "0"},
    ],
    ids=["slurm", "torchrun"],
)
def test_one_process_trains_whatever_a_cluster_has_started(
    cluster: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, _ = images(50)  # noqa: N806
    expected = weights(estimator(max_epochs=1).fit(X))
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    with pytest.warns(UserWarning, match="trains on one device: each of the 4 tasks of this job fits a model of its"):
        assert weights(estimator(max_epochs=1).fit(X)) == expected


def test_given_modules_are_used_and_left_as_they_are() -> None:
    X, _ = images(100)  # noqa: N806
    sparsity = KL(0.5, 0.3)
    fitted = estimator(sparsity=sparsity, constraint=[NonNegative, UnitNorm()], max_epochs=1).fit(X)
    norms = np.linalg.norm(fitted.auto_encoder_.atoms.flatten(1), axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-5)
    assert fitted.auto_encoder_.sparsity is not sparsity
    assert fitted.auto_encoder_.sparsity.p == pytest.approx(0.3)
    assert sparsity.p.dtype == torch.float32
    assert clone(fitted).get_params().keys() == fitted.get_params().keys()


def test_what_is_out_of_range_is_named() -> None:
    X, _ = images(20)  # noqa: N806
    for arguments, message in (
        ({"latent_dim": 0}, "latent_dim"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"batch_size": 0.5}, "batch_size"),
        ({"activation": "identity"}, "sparsity=kl needs a code"),
        ({"sparsity": "kl"}, "built or as a class, .*; got .kl."),
        ({"constraint": "nonnegative"}, "built or as a class, .*; got .nonnegative."),
    ):
        with pytest.raises(InputError, match=message):
            estimator(**arguments).fit(X)
    with pytest.raises(InputError, match=r"got \(20, 8, 8, 1\): give X\.transpose\(0, 3, 1, 2\)"):
        estimator().fit(X.transpose(0, 2, 3, 1))
    fitted = estimator(max_epochs=1).fit(X)
    with pytest.raises(InputError, match=r"images of shape \(1, 8, 8\) were fitted; got \(1, 4, 16\)"):
        fitted.transform(X.reshape(-1, 1, 4, 16))
    for verb, unit in product(("transform", "score"), (1 / 255, 255)):
        with pytest.raises(InputError, match=r"values up to 1 were fitted; got values up to .*same unit"):
            getattr(fitted, verb)(unit * X)
        getattr(fitted, verb)(0 * X)  # black images have no unit
        getattr(fitted, verb)(X[:1] / 255)  # a single image may be dark


def test_a_pickle_holds_the_model_and_not_the_images() -> None:
    X, _ = images()  # noqa: N806
    fitted = estimator(max_epochs=1).fit(X)
    content = pickle.dumps(fitted)
    assert len(content) < X.nbytes / 2
    np.testing.assert_array_equal(pickle.loads(content).transform(X), fitted.transform(X))
