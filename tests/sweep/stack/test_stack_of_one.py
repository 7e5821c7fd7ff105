"""A stack of one against the run of Lightning, to the last checkpoint and what is logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from partae.callbacks import Checkpoint
from partae.constraint import Constraint, NonNegative
from partae.saving.checkpoints import WholeCheckpoints
from partae.sweep.stack import Member, Stack
from tests.sweep.stack.test_lockstep import CASES, QUIET, Data, builder


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
