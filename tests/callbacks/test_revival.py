from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from pytorch_lightning import Trainer

from partae import AutoEncoder
from partae.callbacks import Revival
from partae.callbacks.revival import reset_state, revive
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import Dense, Encoder, Unrolled
from tests.conftest import Compose

SHAPE = (1, 6, 6)
ENCODERS: dict[str, Callable[[], Encoder]] = {
    "shallow": lambda: Dense(SHAPE, 5, activation="relu"),
    "deep": lambda: Dense(SHAPE, 5, activation="relu", hidden=[8], batch_norm=True),
    "unrolled": lambda: Unrolled(SHAPE, 5),
}


def with_dead_units(encoder: Encoder) -> AutoEncoder:
    model = AutoEncoder(encoder, Dictionary(SHAPE, 5))
    with torch.no_grad():
        model.atoms.abs_()
        encoder.last.weight[3:] = 0
        encoder.last.bias[3:] = -1
    return model


@pytest.mark.parametrize("name", ENCODERS)
def test_a_revived_unit_answers_for_what_was_missing_from_the_worst_image(name: str) -> None:
    model, images = with_dead_units(ENCODERS[name]()), torch.rand(30, *SHAPE)
    model.eval()
    before = (images - model.reconstruct(images)).detach()
    worst = before.clamp(min=0).flatten(1).norm(dim=1).topk(2).indices
    untouched = model.atoms[:3].clone()
    revive(model, torch.tensor([3, 4]), images)
    torch.testing.assert_close(model.atoms[:3], untouched, rtol=0, atol=0)
    code = model.encode(images)
    for unit, image in zip((3, 4), worst.tolist(), strict=True):
        missing = before[image].clamp(min=0)
        torch.testing.assert_close(code[image, unit] * model.atoms[unit], missing, rtol=1e-3, atol=1e-5)
    assert not model.training


def test_a_revived_unit_takes_its_first_step_as_the_others_do() -> None:
    model = AutoEncoder(Dense(SHAPE, 5, activation="relu", hidden=[5]), Dictionary(SHAPE, 5))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for parameter in model.parameters():
        parameter.grad = torch.rand_like(parameter)
    optimizer.step()
    first, last = model.encoder.inner[1].weight, model.encoder.last.weight
    before = optimizer.state[first]["exp_avg_sq"].clone()
    reset_state(optimizer, torch.tensor([2]), model)
    for of_units in (model.atoms, last):
        for name in ("exp_avg", "exp_avg_sq"):
            others = optimizer.state[of_units][name][[0, 1, 3, 4]]
            torch.testing.assert_close(optimizer.state[of_units][name][2], others.mean(dim=0))
    # the inner layer has five units, too
    torch.testing.assert_close(optimizer.state[first]["exp_avg_sq"], before, rtol=0, atol=0)


def test_units_that_live_are_left_alone_and_dead_ones_revived_until_late(composed: Compose, garments: Path) -> None:
    cfg = composed(f"data.source.root={garments}", "data.val_size=100", "latent_dim=5", "sparsity=l1")
    models = []
    for until in (0.0, 1.0):
        torch.manual_seed(0)
        encoder = Unrolled((1, 28, 28), 5)
        with torch.no_grad():
            encoder.last.weight[4] = 0
            encoder.last.bias[4] = -1
        model = AutoEncoder(encoder, Dictionary((1, 28, 28), 5))
        Trainer(
            max_epochs=2,
            accelerator="cpu",
            callbacks=[Revival(until=until)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
        ).fit(model, instantiate(cfg.data))
        models.append(model)
    dead, alive = (model.encoder.last.weight[4] for model in models)
    assert not dead.any()
    assert alive.any()


def test_tied_weights_are_refused(composed: Compose, garments: Path) -> None:
    model = AutoEncoder(Dense((1, 28, 28), 5, tied=True), Dictionary((1, 28, 28), 5))
    with pytest.raises(InputError, match=r"callbacks=revival needs encoder\.tied=false"):
        Revival().on_fit_start(Trainer(logger=False, enable_checkpointing=False, accelerator="cpu"), model)


@pytest.mark.parametrize(("key", "value"), [("until", 1.5), ("share", 1.0), ("frequency", -0.1)])
def test_bad_arguments_are_refused_by_key(key: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"callbacks\.revival\.{key}"):
        Revival(**{key: value})


def test_atoms_that_are_all_0_are_revived_too() -> None:
    model, images = with_dead_units(ENCODERS["shallow"]()), torch.rand(30, *SHAPE)
    with torch.no_grad():
        model.atoms.zero_()
    revive(model, torch.arange(5), images)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert (model.atoms.flatten(1).norm(dim=1) > 0).all()


def test_an_image_left_over_at_the_end_of_an_epoch_does_not_stop_it() -> None:
    callback, strategy = Revival(), SimpleNamespace(reduce=lambda value, **_: value)
    trainer: Any = SimpleNamespace(strategy=strategy)
    model: Any = None
    batches = torch.rand(2, *SHAPE), torch.rand(3, *SHAPE), torch.rand(1, *SHAPE)
    for index, images in enumerate(batches):
        callback.on_train_batch_end(trainer, model, {"code": torch.rand(len(images), 5)}, (images,), index)
    assert callback.images is batches[1]
    assert callback.seen == 6
