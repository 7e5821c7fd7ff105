from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LinearRegression

import partae
from partae import AutoEncoder, Operator, dilation
from partae.approximation import MaxApproximation
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.metrics import best_gain, calibrate, check_gains, measure
from partae.metrics.survey import References
from partae.metrics.view import view_batch
from partae.model import Factorization, LeastSquares, NonNegativeLeastSquares
from partae.morphology import operate
from partae.representation import Representation
from tests.conftest import Run

SHAPE = (1, 8, 8)
IMAGES = torch.rand(60, *SHAPE, generator=torch.Generator().manual_seed(0)) ** 3
TRAINING, BATCHES = IMAGES[:40], [(batch, torch.zeros(len(batch))) for batch in IMAGES[40:].split(8)]
CROSS = ndimage.generate_binary_structure(2, 1)


def autoencoder() -> AutoEncoder:
    return AutoEncoder(Dense(SHAPE, 5), Dictionary(SHAPE, 5)).eval()


def pca() -> Factorization:
    decoder = Dictionary(SHAPE, 5, activation="identity")
    model = Factorization(LeastSquares(), decoder).eval()
    axes = np.linalg.svd(TRAINING.flatten(1).numpy() - TRAINING.flatten(1).numpy().mean(axis=0), full_matrices=False)[2]
    decoder.atoms.copy_(torch.from_numpy(axes[:5]).view(5, *SHAPE))
    decoder.bias.copy_(TRAINING.mean(dim=0))
    return model


def sparse_nmf() -> Factorization:
    decoder = Dictionary(SHAPE, 5, activation="identity", biased=False)
    decoder.atoms.requires_grad_(False).copy_(torch.rand(5, *SHAPE) * (torch.rand(5, *SHAPE) > 0.5))
    return Factorization(NonNegativeLeastSquares(sparseness=0.6), decoder).eval()


def dilated(array: np.ndarray) -> np.ndarray:
    return np.stack([ndimage.grey_dilation(image[0], footprint=CROSS)[None] for image in array])


def measure_references(model: Representation, training: torch.Tensor, operators: list[Operator]) -> dict[str, float]:
    references = References(model, model.encode(training), operate(training, operators), operators)
    for batch, _ in BATCHES:
        references.update(view_batch(model, batch, operators))
    return {name: value.item() for name, value in references.compute().items()}


@pytest.mark.parametrize("build", [autoencoder, pca, sparse_nmf])
def test_the_three_errors_equal_those_of_numpy_and_scipy(build: type[Representation]) -> None:
    model = build()

    def rendered(images: torch.Tensor) -> np.ndarray:
        code, atoms = model.encode(images).detach().numpy(), dilated(model.atoms.detach().numpy())
        linear = code @ atoms.reshape(5, 64) + model.bias.detach().numpy().ravel()
        if isinstance(model, AutoEncoder):
            linear = np.where(linear > 0, linear, 0.1 * linear)
        return np.asarray(linear.reshape(-1, *SHAPE))

    def error(rendering: np.ndarray, expected: np.ndarray) -> float:
        return float(((rendering - expected) ** 2).mean())

    rendering, expected = rendered(TRAINING), dilated(TRAINING.numpy())
    grid = np.geomspace(0.01, 100, 2000)
    nearest = grid[np.argmin([error((gain * rendering).clip(0, 1), expected) for gain in grid])]
    bounds = (0.99 * nearest, 1.01 * nearest)
    gain = minimize_scalar(lambda g: error((g * rendering).clip(0, 1), expected), bounds=bounds, method="bounded").x

    found_gain = calibrate(model, TRAINING, [dilation(1)])["dilation:1"]
    assert found_gain == pytest.approx(gain, rel=1e-2)
    least = error((gain * rendering).clip(0, 1), expected)
    assert error((found_gain * rendering).clip(0, 1), expected) == pytest.approx(least, rel=1e-4)
    found = measure(model, BATCHES)
    test, operated = rendered(IMAGES[40:]), dilated(IMAGES[40:].numpy())
    assert found["max_approximation_error"] == pytest.approx(error(test, operated), rel=1e-5)
    assert found["max_approximation_error_clipped"] == pytest.approx(error(test.clip(0, 1), operated), rel=1e-5)
    calibrated = error((found_gain * test).clip(0, 1), operated)
    assert found["max_approximation_error_calibrated"] == pytest.approx(calibrated, rel=1e-5)
    met = model.max_approximation(IMAGES[40:].numpy(), dilation(1))
    assert error(met, operated) == pytest.approx(found["max_approximation_error_calibrated"], rel=1e-5)


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 4.0, 50.0])
@pytest.mark.parametrize("noise", [0.0, 0.3, 3.0])
def test_no_other_gain_has_a_smaller_error(scale: float, noise: float) -> None:
    images = torch.rand(3000) ** 2
    rendering = scale * (images + noise * torch.randn(3000))
    errors = {
        gain: ((gain * rendering).clip(0, 1) - images).square().mean().item()
        for gain in [best_gain(rendering, images), *np.geomspace(1e-3, 1e3, 3000)]
    }
    assert next(iter(errors.values())) <= min(errors.values()) + 1e-7


@pytest.mark.parametrize(
    ("rendering", "image", "expected"),
    [
        (0.0, 0.5, 1.0),  # a model whose output is black: no gain is better than another
        (-0.5, 0.5, 1.0),
        (0.5, 0.0, 0.0),  # black images
        (0.5, 0.25, 0.5),  # constant images
        (0.25, 0.5, 2.0),
        (4.0, 1.0, 1.0),  # white already, once clipped
        (4.0, 0.5, 0.125),
        (math.nan, 0.5, 1.0),
    ],
)
def test_gains_of_constant_images_are_defined(rendering: float, image: float, expected: float) -> None:
    assert best_gain(torch.full((2, 1, 3, 3), rendering), torch.full((2, 1, 3, 3), image)) == pytest.approx(expected)


def test_measures_of_constant_images_and_of_a_black_model_are_defined() -> None:
    model = autoencoder()
    torch.nn.init.zeros_(model.decoder.atoms)
    for value in (0.0, 0.5):
        images = torch.full((4, *SHAPE), value)
        calibrate(model, images, [dilation(1)])
        found = measure(model, [(images, torch.zeros(4))])
        assert found["max_approximation_gain"] == 1
        assert found["max_approximation_error_calibrated"] == found["max_approximation_error"] == value**2
        assert found["image_error"] == 0


def test_a_gain_of_1_leaves_the_raw_rendering_as_it_is() -> None:
    model, images = autoencoder(), IMAGES[40:]
    raw = model.decode(model.encode(images), dilation(1)(model.atoms))
    assert model.gain(dilation(1)) == 1
    torch.testing.assert_close(model.render(model.encode(images), dilation(1)), raw, rtol=0, atol=0)
    torch.testing.assert_close(model.max_approximation(images, dilation(1)), raw.clip(0, 1), rtol=0, atol=0)
    model.gains["dilation:1"] = 0.3
    torch.testing.assert_close(model.render(model.encode(images), dilation(1)), raw, rtol=0, atol=0)


def test_a_learned_gain_is_taken_until_one_is_fitted() -> None:
    model = AutoEncoder(Dense(SHAPE, 5), Dictionary(SHAPE, 5), approximation=MaxApproximation(["dilation:2"])).eval()
    term = model.approximation
    assert isinstance(term, MaxApproximation)
    torch.nn.init.constant_(term.gains, 0.5)
    assert model.gain(dilation(2)) == 0.5
    assert model.gain(dilation(1)) == 1
    calibrate(model, TRAINING, [dilation(2)])
    assert model.gain(dilation(2)) == model.gains["dilation:2"] != 0.5


def test_several_operators_are_fitted_each_by_itself_and_with_the_bias_where_asked() -> None:
    model = pca()
    operators = [dilation(1), Operator("closing", 2)]
    both = calibrate(model, TRAINING, operators)
    assert both == {str(each): calibrate(model, TRAINING, [each])[str(each)] for each in operators}
    assert calibrate(model, TRAINING, operators, bias=True) != both


def test_images_in_reverse_order_have_the_same_gain_and_none_have_none() -> None:
    model, images = pca(), TRAINING.numpy()
    gains = calibrate(model, images[::-1], ["dilation:1"])
    assert gains["dilation:1"] == pytest.approx(calibrate(model, images, ["dilation:1"])["dilation:1"], rel=1e-5)
    with pytest.raises(InputError, match="calibrate needs at least one image"):
        calibrate(model, images[:0], ["dilation:1"])
    assert model.gains.keys() == gains.keys()


def test_gains_with_and_without_the_bias_do_not_replace_each_other() -> None:
    model, each = pca(), dilation(1)
    without = calibrate(model, TRAINING, [each])["dilation:1"]
    assert model.gain(each, bias=True) == without  # until one is fitted
    images, alone = IMAGES[40:], model.max_approximation(IMAGES[40:], each)
    with_it = calibrate(model, TRAINING, [each], bias=True)["dilation:1"]
    assert with_it != without
    assert (model.gain(each), model.gain(each, bias=True)) == (without, with_it)
    torch.testing.assert_close(model.max_approximation(images, each), alone, rtol=0, atol=0)
    raw = model.render(model.encode(images), each, bias=True)
    torch.testing.assert_close(model.max_approximation(images, each, bias=True), (with_it * raw).clip(0, 1))
    assert check_gains(model.gains) == model.gains


def test_the_best_linear_dictionary_is_that_of_least_squares() -> None:
    model = sparse_nmf()
    training = torch.cat([TRAINING, TRAINING.flip(-1)])
    code, test = (model.encode(images).numpy() for images in (training, IMAGES[40:]))
    fitted = LinearRegression().fit(code, dilated(training.numpy()).reshape(80, 64))
    expected = ((fitted.predict(test).clip(0, 1) - dilated(IMAGES[40:].numpy()).reshape(20, 64)) ** 2).mean()
    found = measure_references(model, training, [dilation(1), dilation(2)])
    assert found["least_squares_error"] == pytest.approx(expected, rel=1e-5)
    kinds = ("operated_reconstruction_error_calibrated", "least_squares_error")
    assert list(found) == [f"{kind}{suffix}" for kind in kinds for suffix in ("", "/dilation:2")]


def test_the_dilated_reconstructions_have_a_gain_of_their_own() -> None:
    model = sparse_nmf()
    training, test = (dilated(model.reconstruct(images).numpy().clip(0, 1)) for images in (TRAINING, IMAGES[40:]))
    expected, operated = dilated(TRAINING.numpy()), dilated(IMAGES[40:].numpy())
    errors = {gain: (((gain * training).clip(0, 1) - expected) ** 2).mean() for gain in np.linspace(0.5, 2, 3001)}
    least = min(errors, key=errors.__getitem__)
    found = measure_references(model, TRAINING, [dilation(1)])["operated_reconstruction_error_calibrated"]
    assert found == pytest.approx((((least * test).clip(0, 1) - operated) ** 2).mean(), rel=1e-3)


def test_the_gains_of_a_run_are_in_its_checkpoint_and_its_export(run: Run, tmp_path: Path) -> None:
    measures = run("approximation=dilation", "approximation.operators=[dilation:1,dilation:2]")
    model = partae.load(tmp_path / "run")
    assert model.gains.keys() == {"dilation:1", "dilation:2"}
    assert model.gains["dilation:1"] == pytest.approx(measures["test/max_approximation_gain"])
    assert isinstance(model, AutoEncoder)
    assert not torch.equal(model.approximation.gains, torch.ones(2))  # type: ignore[arg-type]
    file = partae.saving.exporting.export(model, "safetensors", tmp_path)
    assert file
    assert partae.load(file).gains == model.gains


@pytest.mark.parametrize(
    "gains", [[1.0], {"blur:1": 1.0}, {"dilation:1": "big"}, {"dilation:1": -1.0}, {"a": math.inf}]
)
def test_gains_that_are_none_are_refused(gains: object) -> None:
    with pytest.raises(InputError, match=r"gain|operators"):
        check_gains(gains)
