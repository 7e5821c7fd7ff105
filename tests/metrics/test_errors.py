from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score

from partae.metrics import ExplainedVariance, explained_variance


def test_explained_variance_is_1_for_the_images_and_0_for_their_mean() -> None:
    images = torch.rand(9, 2, 3, 3)
    assert explained_variance(images, images) == 1
    torch.testing.assert_close(
        explained_variance(images.mean(dim=0).expand(9, 2, 3, 3), images), torch.tensor(0.0), atol=1e-6, rtol=0
    )


@given(st.floats(-1, 1))
def test_explained_variance_in_closed_form_for_shrunken_images(factor: float) -> None:
    images = torch.rand(9, 1, 3, 3)
    images = images - images.mean(dim=0)
    torch.testing.assert_close(explained_variance(factor * images, images), torch.tensor(1 - (1 - factor) ** 2))


def test_explained_variance_equals_scikit_learns_r2() -> None:
    images, reconstruction = torch.rand(12, 1, 4, 4), torch.rand(12, 1, 4, 4)
    expected = r2_score(images.flatten(1), reconstruction.flatten(1), multioutput="variance_weighted")
    assert explained_variance(reconstruction, images).item() == pytest.approx(expected, rel=1e-5)


def test_explained_variance_of_pca_is_the_sum_of_its_ratios() -> None:
    images = torch.rand(30, 1, 4, 4)
    pca = PCA(5).fit(images.flatten(1).numpy())
    rendering = pca.inverse_transform(pca.transform(images.flatten(1).numpy()))
    reconstruction = torch.as_tensor(rendering).reshape(images.shape)
    assert explained_variance(reconstruction, images).item() == pytest.approx(
        pca.explained_variance_ratio_.sum(), rel=1e-5
    )


def test_explained_variance_does_not_depend_on_how_images_fall_into_batches() -> None:
    images = torch.rand(40, 1, 4, 4) + 100  # where single precision would lose the variance
    reconstruction = images + 0.1 * torch.randn_like(images)
    metric = ExplainedVariance()
    for _ in range(2):
        metric.reset()
        for batch, rendering in zip(images.split(7), reconstruction.split(7), strict=True):
            metric.update(rendering, batch)
        expected = explained_variance(reconstruction.double(), images.double()).item()
        assert metric.compute().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3])
def test_images_that_are_all_the_same_count_as_scikit_learn_has_it(count: int, value: float) -> None:
    images = torch.full((count, 1, 3, 3), value)
    for reconstruction, expected in ((images.clone(), 1.0), (images + 0.5, 0.0)):
        metric = ExplainedVariance()
        metric.update(reconstruction, images)
        assert metric.compute() == explained_variance(reconstruction, images) == expected
        if count > 1:
            assert r2_score(images.flatten(1), reconstruction.flatten(1)) == expected


@pytest.mark.parametrize("seed", range(6))
def test_what_rounding_leaves_of_images_that_are_all_the_same_counts_as_nothing(seed: int) -> None:
    images = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(seed)).expand(7, 1, 9, 9)
    metric = ExplainedVariance()
    metric.update(images + 0.1, images)
    assert metric.compute() == 0


@pytest.mark.parametrize("count", [3, 6, 7, 10, 30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_that_are_all_alike_have_nothing_to_explain(count: int, dtype: torch.dtype) -> None:
    images = torch.rand(1, 1, 6, 6, dtype=dtype).expand(count, -1, -1, -1)
    assert explained_variance(images + 0.01, images) == 0
    assert explained_variance(images, images) == 1
    assert explained_variance(images, images).dtype == dtype
