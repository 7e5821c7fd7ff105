from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from partae import AutoEncoder
from partae.checks import InputError
from partae.corruption import Gaussian, Masking
from partae.decoder import Dictionary
from partae.encoder import Dense

IMAGES = torch.rand(300, 1, 8, 8) + 0.1


def test_gaussian_noise_has_its_deviation_in_training_only() -> None:
    torch.manual_seed(0)
    corruption = Gaussian(0.5)
    noise = corruption(IMAGES) - IMAGES
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.std().item() == pytest.approx(0.5, rel=0.02)
    assert corruption.eval()(IMAGES).equal(IMAGES)


def test_masking_sets_its_share_to_zero_and_keeps_the_mean_in_training_only() -> None:
    torch.manual_seed(0)
    corruption = Masking(0.3)
    masked = corruption(IMAGES.expand(-1, 3, -1, -1))
    assert masked[:, :1].equal(masked[:, 1:2])
    masked = masked[:, :1]
    kept = masked != 0
    assert (~kept).float().mean().item() == pytest.approx(0.3, abs=0.02)
    torch.testing.assert_close(masked[kept], IMAGES[kept] / 0.7)
    assert corruption.eval()(IMAGES).equal(IMAGES)


@pytest.mark.parametrize("corruption", [Gaussian(), Masking()])
def test_the_encoder_sees_corrupted_images_and_the_loss_compares_with_whole_ones(corruption: nn.Module) -> None:
    model = AutoEncoder(Dense((1, 8, 8), 4), Dictionary((1, 8, 8), 4), corruption=corruption)
    seen = []
    model.encoder.register_forward_hook(lambda _, arguments, __: seen.append(arguments[0]))
    torch.manual_seed(1)
    loss = model.losses(IMAGES)["reconstruction"]
    torch.manual_seed(1)
    assert seen[0].equal(corruption(IMAGES))
    torch.testing.assert_close(loss, (model.decode(model.encoder(seen[0])) - IMAGES).square().mean())
    model.eval().losses(IMAGES)
    assert seen[-1].equal(IMAGES)


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: Gaussian(-1), "corruption.std"),
        (lambda: Masking(1.0), "corruption.share"),
        (lambda: Masking(-0.1), "corruption.share"),
    ],
)
def test_what_is_out_of_range_is_refused_by_its_key(build: Callable[[], nn.Module], key: str) -> None:
    with pytest.raises(InputError, match=key):
        build()
