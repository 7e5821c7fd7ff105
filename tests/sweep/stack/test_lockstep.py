"""A stack against the same models trained one after another, by a plain loop or by Lightning."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from pytorch_lightning import LightningDataModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adadelta, Adagrad, Adam, AdamW, Muon, NAdam, Optimizer, RMSprop, SparseAdam
from torch.optim.lr_scheduler import LambdaLR

from partae import AutoEncoder, approximation, decay, sparsity
from partae.activation import BatchTopK, JumpReLU, TopK
from partae.callbacks import Checkpoint, Gallery
from partae.constraint import Constraint, HoyerSparseness, NonNegative, UnitInterval, UnitNorm
from partae.data import Batches, Order
from partae.decoder import Dictionary
from partae.encoder import Dense, MatchingPursuit, Unrolled
from partae.reconstruction import BCE
from partae.saving.checkpoints import WholeCheckpoints
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


def test_a_stack_of_one_equals_the_run_of_lightning(tmp_path: Path) -> None:
    """To the last checkpoint: the same entries, of the same values."""
    build = builder(CASES["kl, nonnegative, adam"])
    constraints: list[Constraint] = [NonNegative()]
    checkpoints = []
    for name in ("alone", "stacked"):
        callback = Checkpoint(dirpath=tmp_path / name, filename="best", monitor="val/loss", save_last=True)
        logger = TensorBoardLogger(tmp_path / f"{name}_events", name="", version="")
        options = QUIET | {"max_epochs": 3, "plugins": [WholeCheckpoints()], "enable_checkpointing": name == "alone"}
        if name == "alone":
            trainer = Trainer(**options | {"logger": logger}, callbacks=[callback, *constraints])
            trainer.fit(build(0), Data())
        else:
            Trainer(**options).fit(Stack([Member(build(0), [logger], [callback])], constraints), Data())
        saved = flat(torch.load(tmp_path / name / "last.ckpt", weights_only=True))
        checkpoints.append({key.replace(str(tmp_path / name), "folder"): value for key, value in saved.items()})
        assert {file.name for file in (tmp_path / name).glob("*.ckpt")} == {"best.ckpt", "last.ckpt"}
    assert scalars(tmp_path / "alone_events") == scalars(tmp_path / "stacked_events")
    alone, stacked_one = checkpoints
    assert alone.keys() == stacked_one.keys()
    for key, value in alone.items():
        if isinstance(value, Tensor | float) and "seconds" not in key:
            torch.testing.assert_close(stacked_one[key], value, rtol=1e-6, atol=1e-9, msg=f"{key} differs")
        elif not isinstance(value, str | float):
            assert stacked_one[key] == value, key


def scalars(folder: Path) -> set[tuple[str, int, float]]:
    """The tag, step and value of every scalar in TensorBoard's files."""
    accumulator = EventAccumulator(str(folder)).Reload()
    return {
        (tag, event.step, float(f"{event.value:.4g}"))
        for tag in accumulator.Tags()["scalars"]
        for event in accumulator.Scalars(tag)
    }


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested dicts and lists."""
    if isinstance(tree, list | tuple):
        tree = dict(enumerate(tree))
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {key: leaf for name, child in tree.items() for key, leaf in flat(child, f"{prefix}/{name}").items()}


def test_a_member_that_diverges_is_frozen_and_the_others_go_on() -> None:
    case = CASES["kl, nonnegative, adam"]
    members = [Member(builder(case._replace(lr=lr))(index)) for index, lr in enumerate((0.01, 1e200, 0.01))]
    stacked(members, [], epochs=4)
    assert "training diverged in epoch 0" in str(members[1].error)
    assert members[0].error is None is members[2].error
    others = [Member(builder(case)(index)) for index in (0, 2)]
    stacked(others, [], epochs=4)
    for one, other in zip((members[0], members[2]), others, strict=True):
        assert_equal(one.model, other.model)


@pytest.mark.parametrize(
    ("val_size", "when"), [(71, "epoch 0, step 1 (measures of validation: "), (0, "epoch 1, step 2 (")]
)
def test_a_member_that_diverges_while_it_is_measured_and_drawn_is_frozen(
    val_size: int, when: str, tmp_path: Path
) -> None:
    class Examples(Data):
        def examples(self, split: str) -> tuple[Tensor, list[str]]:
            return batches().images[:2], ["one", "two"]

        def batches(self, split: str, *, shared: bool = True) -> Batches:
            return batches()

    data = Examples()
    data.val_size = val_size
    case = CASES["kl, nonnegative, adam"]
    members = []
    for index, lr in enumerate((0.01, 1e200)):
        folder = tmp_path / str(index)
        checkpoint = Checkpoint(
            dirpath=folder, filename="best", monitor="val/loss" if val_size else None, save_last=True
        )
        callbacks = [Gallery(every_n_epochs=1), checkpoint]
        logger = TensorBoardLogger(folder, name="", version="")
        members.append(Member(builder(case._replace(lr=lr))(index), [logger], callbacks))
    # epochs of one batch, whose losses are those before its step
    limit = 1.0 if val_size else 0
    Trainer(max_epochs=2, limit_train_batches=1, limit_val_batches=limit, **QUIET).fit(Stack(members), data)
    assert members[0].error is None
    assert f"training diverged in {when}" in str(members[1].error)
    assert "atoms" in EventAccumulator(str(tmp_path / "0"), {"images": 0}).Reload().Tags()["images"]
    if val_size:  # else the weights after the first step are still finite
        assert [file.parent.name for file in tmp_path.rglob("last.ckpt")] == ["0"]


def test_training_stops_when_every_member_has_diverged() -> None:
    members = [Member(builder(CASES["kl, nonnegative, adam"]._replace(lr=1e200))(0))]
    stack = stacked(members, [])
    assert stack.trainer.current_epoch < 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder", [partial(Dense, SHAPE, 5), partial(Dense, SHAPE, 5, "logistic", hidden=(9,), batch_norm=True)]
)
def test_a_compiled_stack_equals_the_plain_one(encoder: Callable[[], nn.Module]) -> None:
    case = CASES["kl, nonnegative, adam"]._replace(encoder=encoder)
    compiled, plain = ([Member(builder(case)(index)) for index in range(3)] for _ in range(2))
    stack = stacked(compiled, [NonNegative()], epochs=3, compiled=True, batch_size=16)
    assert stack.models.compiled is not None
    stacked(plain, [NonNegative()], epochs=3)
    for one, other in zip(compiled, plain, strict=True):
        assert_equal(one.model, other.model)


def test_a_stack_trains_where_it_cannot_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        def fail(*_: Any) -> None:
            raise RuntimeError("no compiler")

        return fail

    monkeypatch.setattr(torch, "compile", refuse)
    members = [Member(builder(CASES["kl, nonnegative, adam"])(0))]
    with pytest.warns(UserWarning, match="without being compiled, which is slower: no compiler"):
        stacked(members, [], epochs=1, compiled=True, batch_size=16)
