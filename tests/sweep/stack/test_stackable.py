from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
from omegaconf import ListConfig, OmegaConf
from pytorch_lightning import Callback
from torch import nn
from torch.optim import LBFGS, Adam

from partae import AutoEncoder
from partae.callbacks import Gallery, Revival
from partae.callbacks.pruning import DenseSparseDense
from partae.constraint import NonNegative
from partae.corruption import Masking
from partae.decoder import Dictionary
from partae.encoder import Conv, Dense
from partae.model.boltzmann import SparseRBM
from partae.run.build import Job
from partae.sparsity import IntrinsicPlasticity, NoSparsity
from partae.sweep.stack import reason_alone

SHAPE = (1, 6, 6)


class Own(NoSparsity):
    """A user's own penalty, which keeps an object."""

    def __init__(self, rule: object) -> None:
        super().__init__()
        self.rule = rule


class Dropping(Dense):
    """A user's own encoder, with dropout."""

    def __init__(self, image_shape: tuple[int, ...], latent_dim: int) -> None:
        super().__init__(image_shape, latent_dim)
        self.inner.append(nn.Dropout())


def job(model: nn.Module, *callbacks: Callback, **trainer: Any) -> Job:
    cfg = OmegaConf.create({"trainer": {"devices": 1, **trainer}})
    return cast(
        "Job", SimpleNamespace(cfg=cfg, model=model, callbacks=callbacks, constraints=[NonNegative()], loggers=[])
    )


def model(activation: str | nn.Module = "sigmoid", **arguments: Any) -> AutoEncoder:
    return AutoEncoder(Dense(SHAPE, 5, activation), Dictionary(SHAPE, 5), **arguments)


@pytest.mark.parametrize(
    ("alone", "reason"),
    [
        (job(model(activation="logistic", sparsity=IntrinsicPlasticity())), "IntrinsicPlasticity adapts itself"),
        (job(AutoEncoder(Dropping(SHAPE, 5), Dictionary(SHAPE, 5))), "Dropout draws at random"),
        (job(model(corruption=nn.Linear(6, 6))), "corruption=linear learns"),
        (job(SparseRBM(Dense(SHAPE, 5, tied=True), Dictionary(SHAPE, 5, "sigmoid"))), "model SparseRBM"),
        (job(nn.Linear(1, 1)), "model Linear"),
        (job(model(optimizer=partial(LBFGS, lr=1.0))), "optimizer LBFGS"),
        (job(model(), DenseSparseDense(share=0.5)), "callback DenseSparseDense"),
        (job(model(), Callback()), "callback Callback"),
        (job(model(sparsity=Own(object()))), "Own keeps rule, which cannot be compared"),
        (job(model(), gradient_clip_val=1.0), "trainer.gradient_clip_val"),
        (job(model(), precision="16-mixed"), "trainer.precision=16-mixed, and a stack trains in 32-true or bf16-mixed"),
        (job(model(), devices=2), "trainer.devices=2"),
    ],
)
def test_a_job_that_no_stack_can_train_as_it_would_train_alone_says_why(alone: Job, reason: str) -> None:
    assert reason in str(reason_alone(alone))


def test_a_job_whose_model_learns_by_its_loss_alone_can_be_stacked() -> None:
    assert reason_alone(job(model(sparsity=Own(ListConfig([0.1, 2]))))) is None
    neutral = {"gradient_clip_val": None, "max_time": None, "precision": "bf16-mixed"}  # as conf/ has them
    assert reason_alone(job(model(optimizer=partial(Adam, lr=1.0)), Gallery(), max_epochs=3, **neutral)) is None
    normalised = AutoEncoder(Conv((1, 8, 8), 5), Dictionary((1, 8, 8), 5), corruption=Masking())
    assert reason_alone(job(normalised, Revival())) is None
