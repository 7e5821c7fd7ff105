"""A stack against the same models trained one after another, by a loop of its own or by Lightning."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from partae import AutoEncoder, decay, sparsity
from partae.constraint import Constraint, HoyerSparseness, NonNegative, UnitInterval, UnitNorm
from partae.data import Batches, Order
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.plasticity import IntrinsicPlasticity
from partae.pruning import DenseSparseDense
from partae.reconstruction import BCE, MSE
from partae.schedule import Constant, Cosine, by_step
from partae.stack import Member, Stack, reason_alone, structure

SHAPE = (1, 6, 6)
EPOCHS, BATCHES = 10, 5
QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
}
Build = Callable[[int], AutoEncoder]


def batches(dtype: torch.dtype = torch.float64) -> Batches:
    """Five batches, the last one smaller, in the same order in each epoch."""
    images = torch.rand(71, *SHAPE, generator=torch.Generator().manual_seed(1)).to(dtype)
    return Batches(images, torch.arange(71) % 10, 16, Order(71))


def builder(parts: Callable[[float], dict[str, Any]], optimizer: type, options: dict[str, Any], lr: float) -> Build:
    """Model number i: its own seed, learning rate, and values in the penalties."""

    def build(index: int) -> AutoEncoder:
        torch.manual_seed(index)
        share = 0.1 + 0.1 * index
        own = parts(share)
        activation = own.pop("activation", "leaky_relu")
        factory = partial(optimizer, lr=lr * (1 + share), **options)
        model = AutoEncoder(
            Dense(SHAPE, 5, hidden=own.pop("hidden", ()), tied=own.pop("tied", False)),
            Dictionary(SHAPE, 5, activation),
            optimizer=factory,
            schedule=Cosine(0.1 * index),
            **own,
        )
        return model.double()

    return build


def one_by_one(build: Build, count: int, constraints: list[Constraint]) -> list[AutoEncoder]:
    """What a loop in PyTorch alone makes of the models."""
    models = [build(index) for index in range(count)]
    for model in models:
        optimizer = model.build_optimizer(model.parameters())
        scheduler = LambdaLR(optimizer, by_step(model.schedule, EPOCHS * BATCHES))
        for constraint in constraints:
            constraint.apply(model.atoms, model.bias)
        for images, _ in itertools.chain.from_iterable([batches()] * EPOCHS):
            optimizer.zero_grad()
            torch.stack(list(model.losses(images).values())).sum().backward()
            optimizer.step()
            scheduler.step()
            for constraint in constraints:
                constraint.apply(model.atoms, model.bias)
    return models


def stacked(members: list[Member], constraints: list[Constraint], epochs: int = EPOCHS, **options: Any) -> Stack:
    stack = Stack(members, constraints, **options)
    Trainer(max_epochs=epochs, limit_val_batches=0, **QUIET).fit(stack, batches(), batches())
    return stack


def assert_equal(ours: AutoEncoder, theirs: AutoEncoder) -> None:
    for (name, parameter), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(parameter, other, rtol=0, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")


def penalised(penalty: type[nn.Module], **more: Any) -> Callable[[float], dict[str, Any]]:
    """Models of one penalty, with values of their own."""
    names = {"p", "target"} & set(penalty(**{}).state_dict())
    return lambda share: {"sparsity": penalty(**{"beta": share, **dict.fromkeys(names, share)}), **more}


def decayed(cost: type[nn.Module], parts: Callable[[float], dict[str, Any]]) -> Callable[[float], dict[str, Any]]:
    own = {"alpha"} & set(cost.__init__.__code__.co_varnames)  # type: ignore[misc]
    return lambda share: {**parts(share), "decay": cost(**{"lambda_": 0.01 * share, **dict.fromkeys(own, share)})}


CASES: dict[str, tuple[Callable[[float], dict[str, Any]], type, dict[str, Any], float, list[Constraint]]] = {
    "kl, nonnegative, adam": (
        penalised(sparsity.KL),
        torch.optim.Adam,
        {"fused": True, "betas": (0.5, 0.999)},
        0.01,
        [NonNegative(bias=True)],
    ),
    "l2, unit interval, adadelta": (
        decayed(decay.AsymmetricL2, penalised(sparsity.L2)),
        torch.optim.Adadelta,
        {},
        1.0,
        [UnitInterval()],
    ),
    "epsilon l1, unit norm, sgd": (
        decayed(decay.AsymmetricL1, penalised(sparsity.EpsilonL1)),
        torch.optim.SGD,
        {"momentum": 0.9, "weight_decay": 0.01},
        0.05,
        [NonNegative(), UnitNorm()],
    ),
    "log, hoyer, adamw": (
        decayed(decay.AsymmetricL1L2, penalised(sparsity.Log)),
        torch.optim.AdamW,
        {},
        0.01,
        [HoyerSparseness(bias=True)],
    ),
    "l1, rmsprop, tied": (decayed(decay.L2, penalised(sparsity.L1, tied=True)), torch.optim.RMSprop, {}, 0.003, []),
    "hoyer, bce, nadam, deep": (
        decayed(decay.L1, penalised(sparsity.Hoyer, reconstruction=BCE(), activation="sigmoid", hidden=(9,))),
        torch.optim.NAdam,
        {},
        0.01,
        [],
    ),
    "no penalty, adagrad": (lambda _: {"reconstruction": MSE()}, torch.optim.Adagrad, {}, 0.05, []),
}


@pytest.mark.parametrize("case", CASES)
def test_a_stack_of_eight_equals_eight_runs(case: str) -> None:
    *how, constraints = CASES[case]
    build = builder(*how)
    members = [Member(build(index)) for index in range(8)]
    assert len({structure(member.model) for member in members}) == 1
    stacked(members, constraints)
    for member, alone in zip(members, one_by_one(build, 8, constraints), strict=True):
        assert_equal(member.model, alone)


def test_every_penalty_decay_and_constraint_is_among_the_cases() -> None:
    """What can be stacked is tested to be equal: a new variant has to join a case."""
    built = [case[0](0.1) for case in CASES.values()]
    for module, key, left_out in (
        (sparsity, "sparsity", {"MeanActivationPenalty"}),
        (decay, "decay", {"AsymmetricDecay"}),
    ):
        kinds = {
            kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__
        }
        names = {kind.__name__ for kind in kinds} - left_out - {"NoSparsity", "NoDecay"}
        assert names <= {type(parts[key]).__name__ for parts in built if key in parts}
    assert set(Constraint.__subclasses__()) <= {type(each) for case in CASES.values() for each in case[-1]}
