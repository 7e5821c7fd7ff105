from __future__ import annotations

import pytest
import torch

from partae import AutoEncoder, dilation
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.reconstruction import BCE, MSE
from partae.sparsity import KL, IntrinsicPlasticity

SHAPE = (1, 6, 6)


def model(**terms: torch.nn.Module) -> AutoEncoder:
    return AutoEncoder(Dense(SHAPE, 4), Dictionary(SHAPE, 4), **terms)


def test_the_loss_is_the_sum_of_its_named_terms() -> None:
    sparsity = KL(beta=0.5, p=0.1)
    autoencoder = model(sparsity=sparsity)
    images = torch.rand(5, *SHAPE)
    losses = autoencoder.losses(images)
    assert list(losses) == ["reconstruction", "sparsity", "decay", "approximation"]
    torch.testing.assert_close(losses["reconstruction"], MSE()(autoencoder.reconstruct(images), images))
    torch.testing.assert_close(losses["sparsity"], sparsity(autoencoder.encode(images)))
    assert losses["decay"] == losses["approximation"] == 0

    autoencoder.on_train_epoch_start()
    loss = autoencoder.training_step((images, torch.zeros(5)), 0)["loss"]
    torch.testing.assert_close(loss, losses["reconstruction"] + losses["sparsity"])


def test_the_verbs_agree_with_one_another() -> None:
    autoencoder, images = model(), torch.rand(3, *SHAPE)
    code = autoencoder.encode(images)
    torch.testing.assert_close(autoencoder(images), code)
    torch.testing.assert_close(autoencoder.reconstruct(images), autoencoder.decode(code))
    expected = autoencoder.decode(code, atoms=dilation(1)(autoencoder.atoms))
    torch.testing.assert_close(autoencoder.render(code, dilation(1)), expected)
    torch.testing.assert_close(autoencoder.max_approximation(images, dilation(1)), expected.clip(0, 1))


def test_tied_weights_train_the_atoms_through_the_encoder_too() -> None:
    autoencoder = AutoEncoder(Dense(SHAPE, 4, tied=True), Dictionary(SHAPE, 4))
    images = torch.rand(5, *SHAPE)
    code = torch.sigmoid(images.flatten(1) @ autoencoder.atoms.flatten(1).T)
    torch.testing.assert_close(autoencoder.encode(images), code)
    autoencoder.encode(images).sum().backward()
    assert autoencoder.atoms.grad is not None


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ({"reconstruction": BCE()}, r"reconstruction=bce needs .*decoder\.activation=leaky_relu"),
        ({"sparsity": IntrinsicPlasticity()}, r"sparsity=intrinsic_plasticity needs encoder\.activation=logistic"),
        ({"sparsity": KL()}, r"sparsity=kl needs .*encoder\.activation=identity"),
    ],
)
def test_what_the_activations_do_not_fit_is_refused(module: dict[str, torch.nn.Module], message: str) -> None:
    with pytest.raises(InputError, match=message):
        AutoEncoder(Dense(SHAPE, 4, activation="identity"), Dictionary(SHAPE, 4), **module)
