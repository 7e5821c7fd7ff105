"""Members that draw at random, keep statistics and change their own weights, against the same models alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn
from torch.optim import Adam

from partae import AutoEncoder
from partae.approximation import MaxApproximation
from partae.callbacks import Checkpoint, Revival
from partae.constraint import NonNegative
from partae.corruption import Gaussian, Masking
from partae.decoder import Dictionary
from partae.encoder import Conv, Dense, Encoder
from partae.saving.checkpoints import WholeCheckpoints
from partae.sparsity import L1
from partae.sweep.stack import Member, Stack
from tests.sweep.stack.test_lockstep import QUIET, SHAPE, Data
from tests.sweep.stack.test_stack_of_one import flat

SEEDS = range(3)
DENSE = partial(Dense, SHAPE, 5, "normalised_relu", hidden=(9,), batch_norm=True)
CONV = partial(Conv, (1, 8, 8), 5, "relu")


class Large(Data):
    """Images that are large enough for convolutions."""

    def train_dataloader(self) -> Any:
        batches = super().train_dataloader()
        batches.images = nn.functional.interpolate(batches.images, size=(8, 8))
        return batches

    val_dataloader = train_dataloader


def build(seed: int, encoder: Encoder, corruption: nn.Module) -> AutoEncoder:
    return AutoEncoder(
        encoder,
        Dictionary(encoder.image_shape, 5, "sigmoid"),
        sparsity=L1(0.001 * seed),
        approximation=MaxApproximation(weight=0.1 * (1 + seed)),
        corruption=corruption,
        optimizer=partial(Adam, lr=0.01 * (1 + seed)),
    ).double()


def callbacks(folder: Path) -> list[Callback]:
    checkpoint = Checkpoint(dirpath=folder, filename="best", monitor="val/loss", save_last=True)
    return [Revival(until=1.0, frequency=0.6), checkpoint]


def trainer(epochs: int, *callbacks: Callback) -> Trainer:
    own = QUIET | {"plugins": [WholeCheckpoints()], "enable_checkpointing": bool(callbacks)}
    return Trainer(**own, max_epochs=epochs, callbacks=list(callbacks))


def last(folder: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", torch.load(folder / "last.ckpt", weights_only=True))


def tensors(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The weights, statistics, states of the optimizer, of callbacks and of the random generators, by their names."""
    return {key: value for key, value in flat(checkpoint).items() if isinstance(value, Tensor) and "/best_k" not in key}


@pytest.mark.parametrize(
    ("encoder", "corruption", "data"),
    [
        pytest.param(DENSE, Masking(0.3), Data, id="masks"),
        pytest.param(DENSE, Gaussian(0.2), Data, id="noise"),
        pytest.param(CONV, Masking(0.3), Large, id="convolutions", marks=pytest.mark.slow),
    ],
)
def test_the_last_checkpoints_are_those_of_the_runs_alone_also_after_a_resume(
    encoder: Any, corruption: nn.Module, data: type[Data], tmp_path: Path
) -> None:
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = build(seed, encoder(), corruption)
        trainer(4, *callbacks(tmp_path / f"alone_{seed}"), NonNegative()).fit(model, data())
    for epochs in (2, 4):
        members = []
        for seed in SEEDS:
            folder = tmp_path / f"stacked_{seed}"
            start = last(folder) if epochs == 4 else {}
            torch.manual_seed(seed)
            model = build(seed, encoder(), corruption)
            members.append(Member(model, callbacks=callbacks(folder), start=start))
        trainer(epochs).fit(Stack(members, [NonNegative()]), data())
    dead = set()
    for seed in SEEDS:
        alone, stacked = (tensors(last(tmp_path / f"{name}_{seed}")) for name in ("alone", "stacked"))
        torch.testing.assert_close(stacked, alone, rtol=1e-9, atol=1e-9)
        dead.add(tuple(alone["/callbacks/Revival/dead"].tolist()))
    assert len(dead) > 1  # each revives its own
