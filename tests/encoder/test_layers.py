from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from partae.checks import InputError
from partae.encoder import Conv, Dense, Encoder, Unrolled


def test_shallow_code_is_the_sigmoid_of_one_linear_layer() -> None:
    encoder = Dense((1, 4, 5), latent_dim=3)
    images = torch.rand(7, 1, 4, 5)
    expected = torch.sigmoid(images.reshape(7, 20) @ encoder.last.weight.T + encoder.last.bias)
    torch.testing.assert_close(encoder(images), expected)


def test_weights_are_glorot_uniform_and_biases_zero() -> None:
    last = Dense((1, 28, 28), latent_dim=100).last
    bound = (6 / (784 + 100)) ** 0.5
    assert 0.99 * bound < last.weight.abs().max() <= bound
    assert not last.bias.any()


def test_tied_weights_are_the_atoms_and_no_others() -> None:
    encoder = Dense((1, 4, 4), latent_dim=3, activation="identity", tied=True)
    assert [name for name, _ in encoder.named_parameters()] == ["last.bias"]
    atoms, images = torch.randn(3, 1, 4, 4), torch.rand(5, 1, 4, 4)
    torch.testing.assert_close(encoder(images, atoms), torch.einsum("bchw,kchw->bk", images, atoms))


def test_hidden_layers_are_normalised_by_option() -> None:
    encoder = Dense((1, 3, 3), latent_dim=2, hidden=[6], batch_norm=True)
    shapes = [tuple(layer.weight.shape) for layer in encoder.modules() if isinstance(layer, nn.Linear)]
    assert shapes == [(6, 9), (2, 6)]
    images = torch.rand(20, 1, 3, 3)
    widths = F.linear(images.flatten(1), encoder.inner.get_parameter("1.weight"))
    expected = (widths - widths.mean(dim=0)) / (widths.var(dim=0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(encoder(images), torch.sigmoid(encoder.last(nn.LeakyReLU(0.1)(expected))))
    encoder.eval()
    torch.testing.assert_close(encoder(images[:1]), encoder(images)[:1])


def test_a_convolutional_encoder_has_the_layers_of_the_text() -> None:
    encoder = Conv((1, 28, 28), latent_dim=100)
    shapes = {name: tuple(weight.shape) for name, weight in encoder.named_parameters() if weight.ndim > 1}
    assert list(shapes.values()) == [(64, 1, 4, 4), (128, 64, 4, 4), (1024, 128 * 7 * 7), (100, 1024)]
    code = encoder(torch.rand(3, 1, 28, 28))
    assert code.shape == (3, 100)
    assert code.min() >= 0
    assert code.max() <= 1
    with pytest.raises(InputError, match=r"at least 8 by 8 pixels; got data\.image_shape=\[1, 4, 9\]"):
        Conv((1, 4, 9), latent_dim=2)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 17, 30), (2, 64, 48)])
def test_a_convolutional_encoder_takes_images_of_other_sizes(shape: tuple[int, int, int]) -> None:
    assert Conv(shape, latent_dim=5)(torch.rand(2, *shape)).shape == (2, 5)


@pytest.mark.parametrize(
    "encoder", [Dense((1, 8, 8), 2, hidden=[6], batch_norm=True), Conv((1, 8, 8), 2)], ids=["dense", "conv"]
)
def test_batch_norm_takes_a_last_batch_of_one_image(encoder: Encoder) -> None:
    image = torch.rand(1, 1, 8, 8)
    assert encoder(image).isfinite().all()


def test_an_unrolled_encoder_takes_the_gradient_steps_of_sparse_coding() -> None:
    atoms, images, threshold = torch.rand(3, 20), torch.rand(7, 1, 4, 5), 0.1
    rate = 1 / torch.linalg.matrix_norm(atoms @ atoms.T, 2)
    encoder = Unrolled((1, 4, 5), latent_dim=3, steps=4)
    with torch.no_grad():
        encoder.last.weight.copy_(rate * atoms)
        encoder.last.bias.fill_(-rate * threshold)
        encoder.interaction.copy_(torch.eye(3) - rate * atoms @ atoms.T)
    code = torch.zeros(7, 3)
    for _ in range(5):  # proximal gradient steps on half the squared error plus threshold * L1 norm, from 0
        step = code + rate * (images.flatten(1) - code @ atoms) @ atoms.T
        code = (step - rate * threshold).clamp(min=0)
    torch.testing.assert_close(encoder(images), code)


def test_an_unrolled_encoder_starts_as_a_shallow_one() -> None:
    encoder, images = Unrolled((1, 4, 4), latent_dim=3), torch.rand(5, 1, 4, 4)
    torch.testing.assert_close(encoder(images), torch.relu(encoder.last(images.flatten(1))))


def test_only_dense_layers_can_be_tied() -> None:
    for kind, name in ((Conv, "conv"), (Unrolled, "unrolled")):
        with pytest.raises(InputError, match=rf"encoder\.tied=true needs encoder=dense; got encoder={name}"):
            kind((1, 28, 28), latent_dim=2, tied=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"latent_dim": 0}, "latent_dim .* got 0"),
        ({"latent_dim": 2, "hidden": [16, 0]}, r"encoder\.hidden .* got 0"),
        ({"latent_dim": 2, "activation": "sine"}, r"encoder\.activation .* got 'sine'"),
        ({"latent_dim": 2, "hidden": [8], "tied": True}, r"encoder\.tied=true needs encoder\.hidden=\[\]"),
        ({"latent_dim": 2, "batch_norm": True}, r"encoder\.batch_norm=true needs hidden layers .*encoder\.hidden=\[\]"),
    ],
)
def test_bad_arguments_are_refused_by_key(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Dense((1, 4, 4), **arguments)  # type: ignore[arg-type]
