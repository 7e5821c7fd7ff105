"""A member of a stack that diverges is frozen, and the others go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from partae.callbacks import Checkpoint, Gallery
from partae.data import Batches
from partae.sweep.stack import Member, Stack
from tests.sweep.stack.test_lockstep import CASES, QUIET, Data, assert_equal, batches, builder, stacked


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
