from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor

from partae.checks import InputError
from partae.metrics import svm_accuracy_quick, svm_accuracy_report
from partae.metrics.classification import check_svm, measure_svm

Labelled = tuple[Tensor, Tensor]
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def blobs(count: int, units: int = 4, spread: float = 1.0, seed: int = 0) -> Labelled:
    """Codes of three overlapping classes, in single precision as a model gives them."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    return torch.eye(3, units)[labels] + spread * torch.randn(count, units, generator=generator), labels


@pytest.mark.parametrize("standardised", [False, True])
@pytest.mark.parametrize("seed", [0, pytest.param(7, marks=pytest.mark.slow)])
def test_report_equals_the_protocol_written_out_in_scikit_learn(seed: int, standardised: bool) -> None:
    code, labels = blobs(320)
    result = svm_accuracy_report(code, labels, seed, standardised=standardised, n_jobs=1, progress=False)

    x, x_last, y, y_last = train_test_split(
        code.numpy(), labels.numpy(), test_size=0.2, stratify=labels.numpy(), random_state=seed
    )
    svm = LinearSVC(dual=False, tol=0.01)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), svm) if standardised else make_pipeline(svm),
        {"linearsvc__C": np.logspace(-2, 3, 30)},
        cv=StratifiedShuffleSplit(n_splits=15, random_state=seed),
    ).fit(x, y)
    last = StratifiedShuffleSplit(n_splits=25, test_size=0.05, random_state=seed)
    scores = cross_val_score(search.best_estimator_, x_last, y_last, cv=last)

    assert search.best_params_["linearsvc__C"] == result.C
    assert (result.accuracy, result.std) == (scores.mean(), scores.std())


def test_report_does_not_depend_on_the_number_of_jobs() -> None:
    code, labels = blobs(300)
    one, two = (svm_accuracy_report(code, labels, n_jobs=jobs, progress=False) for jobs in (1, 2))
    assert one == two


def test_report_shows_progress_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    code, labels = blobs(300, units=3)
    svm_accuracy_report(code, labels, n_jobs=1, progress=False)
    assert not capsys.readouterr().err
    svm_accuracy_report(code, labels, n_jobs=1)
    assert "450/450" in capsys.readouterr().err


def test_report_of_separable_codes_is_perfect() -> None:
    assert svm_accuracy_report(*blobs(300, spread=0.01), n_jobs=1, progress=False)[:2] == (1, 0)


def test_report_refuses_a_class_of_too_few_images() -> None:
    with pytest.raises(InputError, match=r"svm=report needs at least 100 images .* got 34 of class 0, 33 of class 1"):
        svm_accuracy_report(*blobs(100))
    code, labels = blobs(300)
    with pytest.raises(InputError, match="got 300 of class 0"):
        svm_accuracy_report(code, torch.zeros_like(labels))


@pytest.mark.parametrize("standardised", [False, True])
def test_quick_equals_scikit_learn_when_it_sees_all_images(standardised: bool) -> None:
    (code, labels), (test_code, test_labels) = blobs(300), blobs(200, seed=1)
    svm = LinearSVC(dual=False, tol=0.01)
    expected = make_pipeline(StandardScaler(), svm) if standardised else svm
    expected.fit(code.numpy(), labels.numpy())
    accuracy = svm_accuracy_quick(code, labels, test_code, test_labels, standardised=standardised)
    assert accuracy == expected.score(test_code.numpy(), test_labels.numpy())


def test_quick_draws_its_images_by_the_seed() -> None:
    train, test = blobs(3000), blobs(500, seed=1)
    accuracies = [svm_accuracy_quick(*train, *test, seed=seed, size=30) for seed in (0, 0, 1, 2, 3)]
    assert accuracies[0] == accuracies[1]
    assert len(set(accuracies)) > 1
    assert svm_accuracy_quick(*train, *test, size=2999) == pytest.approx(svm_accuracy_quick(*train, *test), abs=0.02)


def test_quick_does_not_see_the_scale_of_a_standardised_code() -> None:
    (code, labels), (test_code, test_labels) = blobs(300), blobs(200, seed=1)
    small = svm_accuracy_quick(1e-4 * code, labels, 1e-4 * test_code, test_labels)
    assert small == svm_accuracy_quick(code, labels, test_code, test_labels)


def test_codes_and_labels_that_do_not_fit_are_refused() -> None:
    code, labels = blobs(300)
    with pytest.raises(InputError, match=r"\(300, 4\) and \(299,\)"):
        svm_accuracy_report(code, labels[:-1])
    with pytest.raises(InputError, match="got 4 and 3"):
        svm_accuracy_quick(code, labels, code[:, :3], labels)
    with pytest.raises(InputError, match=r"cost must be a number in \(0, inf\); got 0"):
        svm_accuracy_quick(code, labels, code, labels, cost=0)
    with pytest.raises(InputError, match="infinite or not a number"):
        svm_accuracy_report(torch.full_like(code, torch.nan), labels)
    with pytest.raises(InputError, match="seed must be a whole number, at least 0 and at most 4294967295; got -1"):
        svm_accuracy_report(code, labels, seed=-1)


def fashion_mnist(prefix: str) -> tuple[np.ndarray, Tensor]:
    images = gzip.decompress((DEBIAN / f"{prefix}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((DEBIAN / f"{prefix}-labels-idx1-ubyte.gz").read_bytes())[8:]
    pixels = np.frombuffer(images, np.uint8).reshape(-1, 784) / np.float32(255)
    return pixels, torch.tensor(np.frombuffer(labels, np.uint8))


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN.exists(), reason="needs the package dataset-fashion-mnist")
def test_both_protocols_find_what_is_known_of_fashion_mnist() -> None:
    (images, labels), (test_images, test_labels) = fashion_mnist("train"), fashion_mnist("t10k")
    pca = PCA(100, random_state=0).fit(images)
    code, test_code = (torch.as_tensor(pca.transform(pixels)) for pixels in (images, test_images))

    assert 0.82 < svm_accuracy_quick(code, labels, test_code, test_labels) < 0.86
    accuracy, std, _ = svm_accuracy_report(test_code, test_labels)
    assert 0.77 < accuracy < 0.84
    assert 0.02 < std < 0.05  # as published: 0.031 to 0.039


def test_quick_draws_no_image_twice_and_leaves_the_shares_of_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    code, labels = blobs(300)
    fitted: dict[str, np.ndarray] = {}
    fit = LinearSVC.fit

    def watch(svm: LinearSVC, features: np.ndarray, classes: np.ndarray) -> LinearSVC:
        fitted.update(features=features, classes=classes)
        return fit(svm, features, classes)

    monkeypatch.setattr(LinearSVC, "fit", watch)
    svm_accuracy_quick(code, labels, code, labels, size=150)
    assert len(np.unique(fitted["features"], axis=0)) == 150
    assert np.unique(fitted["classes"], return_counts=True)[1].tolist() == [50, 50, 50]
    svm_accuracy_quick(code, labels, code, labels, size=300, standardised=False)
    np.testing.assert_array_equal(fitted["features"], code.double().numpy())


def test_two_classes_are_enough() -> None:
    code, labels = blobs(300, spread=0.01)
    two = labels < 2
    assert svm_accuracy_quick(code[two], labels[two], code[two], labels[two]) == 1
    assert svm_accuracy_report(code[two], labels[two], n_jobs=1, progress=False).accuracy == 1


@pytest.mark.parametrize("standardised", [None, False, True])
def test_each_protocol_is_asked_for_by_name(standardised: bool | None) -> None:
    sets = {"train": blobs(300), "test": blobs(300, seed=1)}
    options: dict[str, Any] = {} if standardised is None else {"standardised": standardised}
    assert measure_svm(sets.__getitem__, "none") == {}
    quick = svm_accuracy_quick(*sets["train"], *sets["test"], seed=3, **options)
    assert measure_svm(sets.__getitem__, "quick", 3, standardised) == {"svm_accuracy": quick}
    accuracy, std, cost = svm_accuracy_report(*sets["test"], seed=3, progress=False, **options)
    found = measure_svm(sets.__getitem__, "report", 3, standardised, progress=False)
    assert found == {"svm_accuracy": accuracy, "svm_accuracy_std": std, "svm_c": cost}


def test_an_svm_that_cannot_be_fitted_is_refused_before_there_is_a_code() -> None:
    many = {"train": torch.zeros(300), "test": torch.zeros(300)}
    check_svm(many.__getitem__, "none")
    with pytest.raises(InputError, match="svm=quick needs training images of at least 2 classes"):
        check_svm(many.__getitem__, "quick")
    with pytest.raises(InputError, match="svm=report needs at least 100 images"):
        check_svm(many.__getitem__, "report")
    few = torch.cat([torch.zeros(300), torch.ones(50)])
    with pytest.raises(InputError, match=r"300 of class 0\.0, 50 of class 1\.0"):
        check_svm(lambda _: few, "report")
    two = {"train": torch.arange(2), "test": torch.arange(300) % 2}
    for protocol in ("quick", "report"):
        check_svm(two.__getitem__, protocol)
