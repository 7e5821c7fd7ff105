from __future__ import annotations

from functools import partial
from typing import Any

from omegaconf import ListConfig
from pytorch_lightning import Callback
from torch import nn
from torch.optim import LBFGS, Adam

from partae import AutoEncoder
from partae.callbacks import Gallery
from partae.callbacks.pruning import DenseSparseDense
from partae.constraint import NonNegative
from partae.corruption import Masking
from partae.decoder import Dictionary
from partae.encoder import Conv, Dense
from partae.model.boltzmann import SparseRBM
from partae.sparsity import IntrinsicPlasticity, NoSparsity
from partae.sweep.stack import reason_alone

SHAPE = (1, 6, 6)


class Own(NoSparsity):
    """A penalty of a user's own, which keeps an object."""

    def __init__(self, rule: object) -> None:
        super().__init__()
        self.rule = rule


def test_what_reaches_beyond_one_tensor_runs_alone() -> None:
    def model(**parts: Any) -> AutoEncoder:
        return AutoEncoder(Dense(SHAPE, 5, parts.pop("activation", "sigmoid")), Dictionary(SHAPE, 5), **parts)

    plastic = model(activation="logistic", sparsity=IntrinsicPlasticity())
    assert "IntrinsicPlasticity adapts itself" in str(reason_alone(plastic, [], []))
    normalised = AutoEncoder(Conv((1, 8, 8), 5), Dictionary((1, 8, 8), 5))
    assert "BatchNorm" in str(reason_alone(normalised, [], []))
    assert "corruption=masking draws at random" in str(reason_alone(model(corruption=Masking()), [], []))
    machine = SparseRBM(Dense(SHAPE, 5, tied=True), Dictionary(SHAPE, 5, "sigmoid"))
    assert "SparseRBM learns in a way of its own" in str(reason_alone(machine, [], []))
    assert "Linear learns in a way of its own" in str(reason_alone(nn.Linear(1, 1), [], []))
    assert "LBFGS" in str(reason_alone(model(optimizer=partial(LBFGS, lr=1.0)), [], []))
    assert "DenseSparseDense" in str(reason_alone(model(), [DenseSparseDense(share=0.5)], []))
    assert "Callback" in str(reason_alone(model(), [], [Callback()]))
    assert "Own keeps rule, which cannot be compared" in str(reason_alone(model(sparsity=Own(object())), [], []))
    assert reason_alone(model(sparsity=Own(ListConfig([0.1, 2]))), [], []) is None
    assert reason_alone(model(optimizer=partial(Adam, lr=1.0)), [Gallery()], [NonNegative()]) is None
