"""A stack against the same models trained one after another by a plain loop."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from pytorch_lightning import LightningDataModule, Trainer
from torch import nn
from torch.optim import LBFGS, SGD, Adadelta, Adagrad, Adam, AdamW, Muon, NAdam, Optimizer, RMSprop, SparseAdam
from torch.optim.lr_scheduler import LambdaLR

from partae import AutoEncoder, approximation, decay, sparsity
from partae.activation import BatchTopK, JumpReLU, TopK
from partae.constraint import Constraint, HoyerSparseness, NonNegative, UnitInterval, UnitNorm
from partae.data import Batches, Order
from partae.decoder import Dictionary
from partae.encoder import Dense, MatchingPursuit, Unrolled
from partae.reconstruction import BCE
from partae.schedule import Cosine, by_step
from partae.sweep.stack import Member, Stack, structure

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


class Data(LightningDataModule):
    """The same batches for training and validation."""

    val_size = 71

    def train_dataloader(self) -> Batches:
        return batches()

    val_dataloader = train_dataloader


def one_by_one(build: Build, count: int, constraints: Sequence[Constraint]) -> list[AutoEncoder]:
    """The models after a training by a plain loop."""
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


def stacked(members: list[Member], constraints: Sequence[Constraint], epochs: int = EPOCHS, **options: Any) -> Stack:
    stack = Stack(members, constraints, **options)
    Trainer(max_epochs=epochs, limit_val_batches=0, **QUIET).fit(stack, batches(), batches())
    return stack


def assert_equal(ours: AutoEncoder, theirs: AutoEncoder) -> None:
    for (name, parameter), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(parameter, other, rtol=0, atol=1e-9, msg=f"{name} differs")


class Case(NamedTuple):
    """How the models of a stack are built from their index, and the constraints of their atoms.

    Each of ``terms`` is a class and the names of those of its arguments in which the models differ.
    """

    terms: dict[str, tuple[Any, ...]]
    optimizer: Callable[..., Optimizer]
    lr: float
    constraints: Sequence[Constraint] = ()
    encoder: Callable[[], nn.Module] = partial(Dense, SHAPE, 5)
    activation: str = "leaky_relu"
    biased: bool = True


def builder(case: Case) -> Build:
    """Builds model number i, with its own seed, learning rate, and values in the terms of its loss."""

    def build(index: int) -> AutoEncoder:
        torch.manual_seed(index)
        share = 0.1 + 0.1 * index
        terms = {key: kind(**dict.fromkeys(names, share)) for key, (kind, *names) in case.terms.items()}
        optimizer = partial(case.optimizer, lr=case.lr * (1 + share))
        decoder = Dictionary(SHAPE, 5, case.activation, case.biased)
        model = AutoEncoder(case.encoder(), decoder, optimizer=optimizer, schedule=Cosine(0.1 * index), **terms)
        return model.double()

    return build


CASES = {
    "kl, nonnegative, adam": Case(
        {"sparsity": (sparsity.KL, "beta", "p")},
        partial(Adam, fused=True, betas=(0.5, 0.999)),
        0.01,
        [NonNegative(bias=True)],
    ),
    "l2, unit interval, adadelta": Case(
        {"sparsity": (sparsity.L2, "beta", "p"), "decay": (decay.AsymmetricL2, "lambda_", "alpha")},
        Adadelta,
        1.0,
        [UnitInterval()],
    ),
    "epsilon l1, unit norm, sgd": Case(
        {"sparsity": (sparsity.EpsilonL1, "beta", "p", "epsilon"), "decay": (decay.AsymmetricL1, "lambda_", "alpha")},
        partial(SGD, momentum=0.9, weight_decay=0.01),
        0.05,
        [NonNegative(), UnitNorm()],
    ),
    "log, hoyer, adamw": Case(
        {
            "sparsity": (sparsity.Log, "beta", "p"),
            "decay": (decay.AsymmetricL1L2, "lambda_", "alpha", "kappa"),
            "approximation": (approximation.MaxApproximation, "weight"),
        },
        AdamW,
        0.01,
        [HoyerSparseness(bias=True)],
    ),
    "l1, rmsprop, tied": Case(
        {
            "sparsity": (sparsity.L1, "beta"),
            "decay": (decay.L2, "lambda_"),
            "approximation": (approximation.Overlap, "weight"),
        },
        RMSprop,
        0.003,
        encoder=partial(Dense, SHAPE, 5, tied=True),
    ),
    "hoyer, bce, nadam, deep": Case(
        {"sparsity": (sparsity.Hoyer, "beta", "target"), "decay": (decay.L1, "lambda_"), "reconstruction": (BCE,)},
        NAdam,
        0.01,
        encoder=partial(Dense, SHAPE, 5, hidden=(9,)),
        activation="sigmoid",
    ),
    "no penalty, unrolled, adagrad": Case({}, Adagrad, 0.05, encoder=partial(Unrolled, SHAPE, 5)),
    "no penalty, top k, adam": Case({}, Adam, 0.01, encoder=lambda: Dense(SHAPE, 5, TopK(2))),
    "no penalty, batch top k, adam": Case({}, Adam, 0.01, encoder=lambda: Dense(SHAPE, 5, BatchTopK(2))),
    "l0, jump relu, adam": Case(
        {"sparsity": (sparsity.L0, "beta", "target")}, Adam, 0.01, encoder=lambda: Dense(SHAPE, 5, JumpReLU(5))
    ),
    "no penalty, matching pursuit, adam": Case(
        {}, Adam, 0.01, [NonNegative()], partial(MatchingPursuit, 2), biased=False
    ),
}
OPTIMIZERS = [kind for kind in vars(torch.optim).values() if isinstance(kind, type) and issubclass(kind, Optimizer)]
TESTED = {getattr(case.optimizer, "func", case.optimizer) for case in CASES.values()}
TESTED |= {Optimizer, LBFGS, SparseAdam, Muon}  # the last three need other gradients or parameters
OTHERS = {kind.__name__: Case({}, kind, 0.01) for kind in OPTIMIZERS if kind not in TESTED}


@pytest.mark.parametrize("name", [*CASES, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_a_stack_of_eight_equals_eight_runs(name: str) -> None:
    case = (CASES | OTHERS)[name]
    build, constraints = builder(case), case.constraints
    members = [Member(build(index)) for index in range(8)]
    assert len({structure(member.model) for member in members}) == 1
    stacked(members, constraints)
    for member, alone in zip(members, one_by_one(build, 8, constraints), strict=True):
        assert_equal(member.model, alone)


def test_every_penalty_decay_and_constraint_is_among_the_cases() -> None:
    """A new variant has to join a case, so that it is tested too."""
    tested = {kind for case in CASES.values() for kind, *_ in case.terms.values()}
    for module, left_out in (
        (sparsity, {"NoSparsity", "Penalty", "MeanActivationPenalty", "IntrinsicPlasticity"}),
        (decay, {"NoDecay", "AsymmetricDecay"}),
        (approximation, {"NoApproximation", "Approximation"}),
    ):
        kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__name__ not in left_out]
        own = {kind for kind in kinds if f"{kind.__module__}.".startswith(f"{module.__name__}.")}
        assert own
        assert own <= tested
    assert set(Constraint.__subclasses__()) <= {type(each) for case in CASES.values() for each in case.constraints}
