from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.metrics import mean_squared_error, r2_score

from partae import AutoEncoder, Operator
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.metrics import (
    Measures,
    atom_sparsity,
    coherence,
    measure,
    measure_dictionary,
    overlap,
    reconstruction_error,
    svm_accuracy_quick,
    svm_accuracy_report,
    usage_frequency,
)
from partae.metrics.measures import check_svm, codes, measure_parts, measure_svm

IMAGES = torch.rand(23, 1, 8, 8, generator=torch.Generator().manual_seed(0))
BATCHES = [(batch, torch.zeros(len(batch))) for batch in IMAGES.split(10)]
CROSS = ndimage.generate_binary_structure(2, 1)


@pytest.fixture
def model() -> AutoEncoder:
    autoencoder = AutoEncoder(Dense((1, 8, 8), 5), Dictionary((1, 8, 8), 5)).eval()
    torch.nn.init.normal_(autoencoder.decoder.bias, std=0.1)
    return autoencoder


def dilated(array: np.ndarray) -> np.ndarray:
    return np.stack([ndimage.grey_dilation(image[0], footprint=CROSS)[None] for image in array])


def test_reconstruction_error_equals_scikit_learn() -> None:
    images, reconstruction = torch.rand(6, 2, 5, 5), torch.rand(6, 2, 5, 5)
    expected = mean_squared_error(images.flatten(), reconstruction.flatten())
    assert reconstruction_error(reconstruction, images).mean().item() == pytest.approx(expected)


@pytest.mark.parametrize("biased", [False, True])
def test_all_measures_equal_their_definitions_in_numpy(biased: bool, model: AutoEncoder) -> None:
    code, atoms = model.encode(IMAGES).detach().numpy(), model.atoms.detach().numpy()
    bias, images = model.bias.detach().numpy(), IMAGES.numpy()

    def decoded(atoms: np.ndarray, bias: np.ndarray) -> np.ndarray:
        linear = code @ atoms.reshape(5, 64) + bias.ravel()
        return np.where(linear > 0, linear, 0.1 * linear).reshape(-1, 1, 8, 8)

    reconstruction = decoded(atoms, bias)
    approximation = decoded(dilated(atoms), dilated(bias[None])[0] if biased else bias)
    model.gains["dilation:1"] = 0.25
    ratio = np.abs(code).sum(axis=1) / np.sqrt((code**2).sum(axis=1))
    expected = {
        "reconstruction_error": ((reconstruction - images) ** 2).mean(),
        "reconstruction_error_clipped": ((reconstruction.clip(0, 1) - images) ** 2).mean(),
        "hoyer_sparsity": ((np.sqrt(5) - ratio) / (np.sqrt(5) - 1)).mean(),
        "max_approximation_error": ((approximation - dilated(images)) ** 2).mean(),
        "max_approximation_error_clipped": ((approximation.clip(0, 1) - dilated(images)) ** 2).mean(),
        "max_approximation_error_calibrated": (((0.25 * approximation).clip(0, 1) - dilated(images)) ** 2).mean(),
        "max_approximation_gain": 0.25,
        "image_error": ((images - dilated(images)) ** 2).mean(),
        "operated_reconstruction_error": ((dilated(reconstruction.clip(0, 1)) - dilated(images)) ** 2).mean(),
        "max_approximation_error_of_reconstruction": ((approximation - dilated(reconstruction)) ** 2).mean(),
        "dead_atoms": (code.max(axis=0) <= 0.01 * code.max()).sum(),
        "mean_activation": code.mean(),
    }
    assert measure(model, BATCHES, bias=biased) == pytest.approx(expected, rel=1e-5)


def test_each_operator_has_its_own_errors(model: AutoEncoder) -> None:
    opening = Operator("opening", 1)
    both = measure(model, BATCHES, [Operator("dilation", 1), opening])
    assert {key: both[key] for key in measure(model, BATCHES)} == measure(model, BATCHES)
    approximation, images = model.render(model.encode(IMAGES), opening).detach(), opening(IMAGES)
    expected = mean_squared_error(approximation.flatten(), images.flatten())
    assert both["max_approximation_error/opening:1"] == pytest.approx(expected, rel=1e-5)
    assert "max_approximation_error_of_reconstruction/opening:1" in both


def test_measures_of_the_dictionary_are_those_of_all_images_at_once(model: AutoEncoder) -> None:
    code, reconstruction = model.encode(IMAGES).detach(), model.reconstruct(IMAGES).detach()
    measures = measure_dictionary(model, BATCHES, l0_threshold=0.5)
    expected = {
        "explained_variance": r2_score(IMAGES.flatten(1), reconstruction.flatten(1), multioutput="variance_weighted"),
        "l0": (code > 0.5).sum().item() / len(code),
        "usage_frequency": usage_frequency(code).mean().item(),
        "overlap": overlap(model.atoms, code.mean(dim=0)).item(),
        "coherence": coherence(model.atoms).item(),
        "negative_share": (model.atoms < 0).float().mean().item(),
        "atom_sparsity": atom_sparsity(model.atoms).mean().item(),
    }
    assert {key: measures[key] for key in expected} == pytest.approx(expected, rel=1e-4)


def test_reset_forgets_all_images(model: AutoEncoder) -> None:
    measures = Measures(5)
    measures.update(model, torch.ones(7, 1, 8, 8))
    measures.reset()
    for batch in IMAGES.split(10):
        measures.update(model, batch)
    assert {name: value.item() for name, value in measures.compute().items()} == measure(model, BATCHES)


@pytest.mark.parametrize(
    "standardised", [None, *(pytest.param(each, marks=pytest.mark.slow) for each in (False, True))]
)
def test_each_svm_protocol_is_asked_for_by_name(model: AutoEncoder, standardised: bool | None) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(240) % 2
    images = torch.rand(240, 1, 8, 8, generator=generator) * (1 + labels)[:, None, None, None] / 2
    sets = {"train": [(images[:200], labels[:200])], "test": [(images[40:], labels[40:]), (images[:40], labels[:40])]}
    options: dict[str, Any] = {} if standardised is None else {"standardised": standardised}
    assert measure_svm(model, sets.__getitem__, "none") == {}
    quick = svm_accuracy_quick(*codes(model, sets["train"]), *codes(model, sets["test"]), seed=3, **options)
    assert measure_svm(model, sets.__getitem__, "quick", 3, standardised) == {"svm_accuracy": quick}
    accuracy, std, cost = svm_accuracy_report(*codes(model, sets["test"]), seed=3, progress=False, **options)
    found = measure_svm(model, sets.__getitem__, "report", 3, standardised, progress=False)
    assert found == {"svm_accuracy": accuracy, "svm_accuracy_std": std, "svm_c": cost}


def test_the_sign_of_a_code_does_not_matter(model: AutoEncoder) -> None:
    class Negative(AutoEncoder):
        """The same model, but that code and atoms have the other sign."""

        def encode(self, images: Any) -> Any:
            return -super().encode(images)

        @property
        def atoms(self) -> torch.Tensor:
            return -super().atoms

    negative = Negative(model.encoder, model.decoder).eval()
    one, other = (measure_dictionary(each, BATCHES) for each in (model, negative))
    for name in ("l0", "usage_frequency", "overlap", "coherence"):
        assert other[name] == pytest.approx(one[name])
    assert measure(negative, BATCHES)["dead_atoms"] == measure(model, BATCHES)["dead_atoms"] == 0


def test_overlap_goes_by_the_mean_size_of_the_code(model: AutoEncoder) -> None:
    class Alternating(AutoEncoder):
        """Codes of either sign, whose mean says nothing."""

        def encode(self, images: Any) -> Any:
            signs = torch.ones(len(images), 1)
            signs[::2] = -1
            return signs * super().encode(images)

    alternating = Alternating(model.encoder, model.decoder).eval()
    one, other = (measure_dictionary(each, BATCHES)["overlap"] for each in (model, alternating))
    assert other == pytest.approx(one)


def test_the_recovery_of_known_parts_is_its_mean_and_its_least(model: AutoEncoder) -> None:
    assert measure_parts(model, None) == {}
    parts = torch.cat([2 * model.atoms.detach()[:1], torch.zeros(1, 1, 8, 8)])
    assert measure_parts(model, parts) == pytest.approx({"part_recovery": 0.5, "least_part_recovery": 0.0})
    ignored = torch.zeros(1, 8, 8, dtype=torch.bool)
    ignored[0, 0] = True
    disturbed = torch.where(ignored, 9.0, parts[:1])
    assert measure_parts(model, disturbed)["part_recovery"] < 0.99
    assert measure_parts(model, disturbed, ignored)["part_recovery"] == pytest.approx(1)


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


def test_codes_are_standardised_as_the_protocol_says_or_as_asked(
    model: AutoEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def accuracy(*_: Any, **options: Any) -> float:
        asked.append(options)
        return 0.5

    monkeypatch.setattr("partae.metrics.measures.svm_accuracy_quick", accuracy)
    for standardised in (None, True, False):
        assert measure_svm(model, lambda _: BATCHES, "quick", standardised=standardised) == {"svm_accuracy": 0.5}
    assert [options.get("standardised") for options in asked] == [None, True, False]
