from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import Tensor

from partae.checks import InputError
from partae.metrics import hoyer_sparsity
from partae.nmf import SparseNMF

CONSTRAINTS: list[dict[str, Any]] = [
    {},
    {"sparseness_of_code": 0.6},
    {"sparseness_of_code": 0.6, "code_sparseness_per": "image"},
    {"sparseness_of_atoms": 0.6},
    {"sparseness_of_code": 0.5, "sparseness_of_atoms": 0.6},
    {"sparseness_of_code": 0.5, "sparseness_of_atoms": 0.6, "code_sparseness_per": "image"},
]


def random_images(seed: int = 0, shape: tuple[int, int] = (60, 30), rank: int = 6) -> Tensor:
    """Noisy products of non-negative factors, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    code, atoms, noise = (
        torch.rand(*size, generator=generator, dtype=torch.float64)
        for size in ((shape[0], rank), (rank, shape[1]), shape)
    )
    return code**3 @ atoms**3 + 0.05 * noise


def squared_error(images: Tensor, code: Tensor, model: SparseNMF) -> float:
    return float((images - model.inverse_transform(code)).square().sum())


def untransformable(estimator: SparseNMF) -> dict[str, str]:
    """The checks that cannot apply: a sparseness over the images of the fit says nothing of new images."""
    if estimator.sparseness_of_code is None or estimator.code_sparseness_per == "image":
        return {}
    reason = "fit_transform keeps the sparseness per unit, transform cannot"
    return dict.fromkeys(("check_transformer_general", "check_transformer_data_not_an_array"), reason)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [SparseNMF(n_components=2, **arguments) for arguments in CONSTRAINTS[:4]],
    expected_failed_checks=untransformable,
)
def test_is_an_estimator(estimator: SparseNMF, check: Callable[[SparseNMF], None]) -> None:
    check(estimator)


@settings(deadline=None, max_examples=10)
@given(
    images=st.integers(2, 30),
    pixels=st.integers(2, 30),
    rank=st.integers(1, 8),
    seed=st.integers(0, 100),
    code=st.none() | st.floats(0, 1),
    atoms=st.none() | st.floats(0, 1),
    per=st.sampled_from(["unit", "image"]),
)
def test_objective_never_rises(
    images: int, pixels: int, rank: int, seed: int, code: float | None, atoms: float | None, per: str
) -> None:
    data = random_images(seed, (images, pixels))
    model = SparseNMF(
        rank,
        sparseness_of_code=code,
        sparseness_of_atoms=atoms,
        code_sparseness_per=per,
        max_iter=30,
        tol=0,
        random_state=seed,
    )
    learned = model.fit_transform(data)
    history = np.array(model.objective_history_)
    assert len(history) == model.n_iter_ + 1
    assert (np.diff(history) <= 0).all()
    # what is written down from falls alone is still the objective at the end, or above it where the code is solved for
    end = squared_error(data, learned, model) / 2
    assert end <= history[-1] + 1e-8 * history[0] or per == "image"
    if code is not None and per == "unit":
        assert end == pytest.approx(history[-1], rel=1e-7, abs=1e-8 * history[0])
    assert model.reconstruction_err_**2 / 2 == pytest.approx(end)


@pytest.mark.parametrize("arguments", CONSTRAINTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_factors_are_nonnegative_and_as_sparse_as_asked(arguments: dict[str, Any], dtype: torch.dtype) -> None:
    images = random_images().to(dtype)
    model = SparseNMF(5, random_state=0, max_iter=100, tol=0, **arguments)
    code = model.fit_transform(images)
    assert code.dtype == model.components_.dtype == dtype
    assert (code >= 0).all()
    assert (model.components_ >= 0).all()
    assert (model.transform(images) >= 0).all()
    sparseness = arguments.get("sparseness_of_code")
    if sparseness is not None:
        vectors = [code.T] if "code_sparseness_per" not in arguments else [code, model.transform(images)]
        for some in vectors:
            torch.testing.assert_close(hoyer_sparsity(some), torch.full_like(some[:, 0], sparseness), atol=1e-4, rtol=0)
    if "sparseness_of_atoms" in arguments:
        achieved = hoyer_sparsity(model.components_)
        expected = torch.full_like(achieved, arguments["sparseness_of_atoms"])
        torch.testing.assert_close(achieved, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("arguments", CONSTRAINTS)
def test_single_and_double_precision_agree(arguments: dict[str, Any]) -> None:
    images = random_images()
    double, single = (
        SparseNMF(5, random_state=0, max_iter=30, tol=0, **arguments).fit(some) for some in (images, images.float())
    )
    assert single.reconstruction_err_ == pytest.approx(double.reconstruction_err_, rel=0.02)


def test_arrays_and_tensors_give_the_same_and_stay_what_they_are() -> None:
    images = random_images()
    with_tensors, with_arrays = SparseNMF(4, random_state=0), SparseNMF(4, random_state=0)
    code, array = with_tensors.fit_transform(images), with_arrays.fit_transform(images.numpy())
    assert isinstance(code, Tensor)
    assert isinstance(array, np.ndarray)
    assert isinstance(with_arrays.components_, np.ndarray)
    np.testing.assert_allclose(code.numpy(), array)
    np.testing.assert_allclose(with_arrays.inverse_transform(code).numpy(), with_tensors.inverse_transform(array))
    assert isinstance(pickle.loads(pickle.dumps(with_tensors)).transform(images), Tensor)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.uint16, bool])
@pytest.mark.parametrize("learned_from_tensors", [True, False])
def test_whole_numbers_and_lists_mean_what_the_same_floats_mean(learned_from_tensors: bool, kind: Any) -> None:
    images = random_images(shape=(20, 6), rank=2)
    learned: Any = images if learned_from_tensors else images.numpy()
    model: Any = SparseNMF(3, max_iter=20, tol=0, random_state=0).fit(learned)
    one_hot = np.eye(3, dtype=kind)
    atoms = np.asarray(model.components_)
    np.testing.assert_array_equal(model.inverse_transform(one_hot), atoms)
    np.testing.assert_array_equal(model.inverse_transform(one_hot.tolist()), atoms)
    np.testing.assert_array_equal(model.inverse_transform(torch.from_numpy(one_hot)).numpy(), atoms)
    whole = (9 * images).numpy().astype(kind)
    expected = model.transform(whole.astype(float))
    np.testing.assert_array_equal(model.transform(whole), expected)
    np.testing.assert_array_equal(model.transform(whole.tolist()), expected)
    np.testing.assert_array_equal(model.transform(torch.from_numpy(whole)).numpy(), expected)


@pytest.mark.parametrize("arguments", CONSTRAINTS)
def test_an_image_of_zeros_has_a_code_of_zeros(arguments: dict[str, Any]) -> None:
    images = random_images()
    images[3] = 0
    model = SparseNMF(4, random_state=0, max_iter=20, tol=0, **arguments)
    code = model.fit_transform(images)
    assert code.isfinite().all()
    assert (model.transform(images)[3] == 0).all()
    if "sparseness_of_code" not in arguments or "code_sparseness_per" in arguments:
        assert (code[3] == 0).all()
    nothing = SparseNMF(4, random_state=0, **arguments)
    assert nothing.fit_transform(torch.zeros(5, 6)).isfinite().all()
    assert nothing.reconstruction_err_ == 0


def test_the_code_of_an_image_does_not_depend_on_the_others() -> None:
    images = random_images()
    model = SparseNMF(4, sparseness_of_code=0.6, code_sparseness_per="image", random_state=0).fit(images)
    alone = torch.cat([model.transform(image[None]) for image in images])
    torch.testing.assert_close(alone, model.transform(images))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_components": 0}, "n_components"),
        ({"sparseness_of_code": 1.5}, "sparseness_of_code"),
        ({"sparseness_of_atoms": -0.1}, "sparseness_of_atoms"),
        ({"code_sparseness_per": "row"}, "code_sparseness_per"),
        ({"max_iter": 0}, "max_iter"),
        ({"tol": -1.0}, "tol"),
        ({"n_init": 0}, "n_init"),
        ({"n_final": 0}, "n_final"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SparseNMF(**{"n_components": 2, **arguments}).fit(random_images())


def test_a_grid_of_numpy_is_searched() -> None:
    grid = {"n_components": np.arange(2, 4), "max_iter": np.array([5]), "tol": np.zeros(1, np.float32)}
    grid["sparseness_of_code"] = np.array([0.3, 0.6], np.float32)
    search = GridSearchCV(SparseNMF(), grid, cv=2, scoring=_minus_error)
    search.fit(random_images().numpy())
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert type(clone(search.best_estimator_).n_components) is np.int64


def _minus_error(estimator: SparseNMF, images: np.ndarray, _: None = None) -> float:
    return -float(((images - estimator.inverse_transform(estimator.transform(images))) ** 2).sum())


def test_bad_images_are_refused() -> None:
    images = random_images()
    for bad, message in ((-images, "Negative values"), (images / 0, "infinity"), (images[0], "2D array")):
        with pytest.raises(ValueError, match=message):
            SparseNMF(2).fit(bad)
    with pytest.raises(NotFittedError):
        SparseNMF(2).transform(images)
    with pytest.raises(ValueError, match="features"):
        SparseNMF(2).fit(images).transform(images[:, 1:])


def test_running_out_of_iterations_is_warned_of() -> None:
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        SparseNMF(3, max_iter=2).fit(random_images())
