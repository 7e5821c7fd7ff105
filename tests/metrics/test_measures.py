from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.metrics import mean_squared_error, r2_score

from partae import AutoEncoder, Operator
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.metrics import (
    Measures,
    atom_sparsity,
    coherence,
    measure,
    overlap,
    reconstruction_error,
    relative_l0,
    usage_frequency,
)
from partae.metrics.meanings import MEANINGS
from partae.metrics.survey import References, Survey, measure_dictionary, measure_parts

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
    mass = np.abs(code).mean(axis=0) * np.abs(atoms).sum(axis=(1, 2, 3))
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
        "contributing_atoms": (mass >= 0.001 * mass.sum()).sum(),
        "code_variation": code.var(axis=0).sum() / (code**2).mean(axis=0).sum(),
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


def test_what_does_not_commute_with_clipping_is_applied_to_the_clipped_reconstruction(model: AutoEncoder) -> None:
    gradient, reconstruction = Operator("gradient", 1), 3 * model.reconstruct(IMAGES).detach()
    expected = (gradient(reconstruction.clip(0, 1)) - gradient(IMAGES)).square().mean().item()
    with torch.no_grad():
        model.decoder.atoms *= 3
        model.decoder.bias *= 3
    found = measure(model, BATCHES, [gradient])
    assert found["operated_reconstruction_error/gradient:1"] == pytest.approx(expected, rel=1e-5)


def test_a_survey_is_of_all_images_at_once(model: AutoEncoder) -> None:
    code, reconstruction = model.encode(IMAGES).detach(), model.reconstruct(IMAGES).detach()
    operators = [Operator("dilation", 1)]
    survey = Survey(model, operators, References(model, code, operators[0](IMAGES)[:, None], operators))
    for batch, _ in BATCHES:
        survey.update(batch, [operators[0](batch)])
    torch.testing.assert_close(survey.code, code)
    assert {name: value.item() for name, value in survey.measures.compute().items()} == measure(model, BATCHES)
    expected = r2_score(IMAGES.flatten(1), reconstruction.flatten(1), multioutput="variance_weighted")
    assert survey.variance.compute().item() == pytest.approx(expected, rel=1e-4)


def test_an_image_is_encoded_once_and_operated_on_once(model: AutoEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, int] = {"encoded": 0, "operated": 0}
    encode, operate = model._encode, Operator.__call__

    def count_encoded(images: torch.Tensor) -> torch.Tensor:
        seen["encoded"] += len(images)
        return encode(images)

    def count_operated(operator: Operator, images: Any) -> Any:
        seen["operated"] += len(images) if len(images) != len(model.atoms) else 0
        return operate(operator, images)

    monkeypatch.setattr(model, "_encode", count_encoded)
    monkeypatch.setattr(Operator, "__call__", count_operated)
    measure(model, BATCHES)
    assert seen == {"encoded": 23, "operated": 2 * 23}  # the images and their reconstructions


def test_measures_of_the_dictionary_equal_their_definitions(model: AutoEncoder) -> None:
    code, atoms = model.encode(IMAGES).detach(), model.atoms.detach()
    code[::2] *= -1  # each entry counts by its size
    expected = {
        "l0": (code.abs() > 0.5).sum().item() / len(code),
        "relative_l0": relative_l0(code, atoms).mean().item(),
        "usage_frequency": usage_frequency(code).mean().item(),
        "overlap": overlap(atoms, code.abs().mean(dim=0)).item(),
        "coherence": coherence(atoms).item(),
        "negative_share": (atoms < 0).float().mean().item(),
        "negative_mass": (atoms.clamp(max=0).abs().sum() / atoms.abs().sum()).item(),
        "atom_sparsity": atom_sparsity(atoms).mean().item(),
    }
    assert measure_dictionary(atoms, code, l0_threshold=0.5) == pytest.approx(expected, rel=1e-4)


def test_every_measure_has_a_meaning(model: AutoEncoder) -> None:
    names = {*measure(model, BATCHES), *measure_dictionary(model.atoms.detach(), model.encode(IMAGES).detach())}
    assert names <= MEANINGS.keys()


def test_reset_forgets_all_images(model: AutoEncoder) -> None:
    measures = Measures(5)
    measures.update(model, torch.ones(7, 1, 8, 8))
    measures.reset()
    for batch in IMAGES.split(10):
        measures.update(model, batch)
    assert {name: value.item() for name, value in measures.compute().items()} == measure(model, BATCHES)


def test_the_sign_of_a_code_does_not_matter(model: AutoEncoder) -> None:
    code, atoms = model.encode(IMAGES).detach(), model.atoms.detach()
    one, other = (measure_dictionary(sign * atoms, sign * code) for sign in (1, -1))
    for name in ("l0", "relative_l0", "usage_frequency", "overlap", "coherence"):
        assert other[name] == pytest.approx(one[name])


def test_the_recovery_of_known_parts_is_its_mean_and_its_least(model: AutoEncoder) -> None:
    atoms = model.atoms.detach()
    assert measure_parts(atoms, None) == {}
    parts = torch.cat([2 * atoms[:1], torch.zeros(1, 1, 8, 8)])
    assert measure_parts(atoms, SimpleNamespace(parts=parts)) == pytest.approx(
        {"part_recovery": 0.5, "least_part_recovery": 0.0}
    )
    ignored = torch.zeros(1, 8, 8, dtype=torch.bool)
    ignored[0, 0] = True
    disturbed = torch.where(ignored, 9.0, parts[:1])
    whole, less = SimpleNamespace(parts=disturbed), SimpleNamespace(parts=disturbed, ignored=ignored)
    assert measure_parts(atoms, whole)["part_recovery"] < 0.99
    assert measure_parts(atoms, less)["part_recovery"] == pytest.approx(1)
