"""debug= shows what goes wrong, in a folder of its own, and leaves no model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import type_in
from tests.conftest import BARS


@pytest.mark.parametrize(
    "choice", ["fast_dev_run", pytest.param("default", marks=pytest.mark.slow), "limit", "profiler"]
)
def test_a_debug_run_writes_its_measures_to_a_folder_of_its_own(choice: str, tmp_path: Path) -> None:
    outcome = type_in("train.py", [*BARS, f"debug={choice}"], tmp_path)
    assert outcome.status == 0, outcome.err
    assert f"debug={choice} trains too little for its measures to mean anything" in outcome.out
    assert "evaluate.py" not in outcome.out  # which would find no model
    (folder,) = (tmp_path / "outputs" / "debug").iterdir()
    written = {path.name for path in folder.rglob("*") if path.is_file() and path.parent.name != ".hydra"}
    assert written == {"metrics.json"} | ({"profile.txt"} if choice == "profiler" else set())
    if choice == "profiler":
        table = (folder / "profile.txt").read_text()
        assert "run_training_epoch" in table
        assert table in outcome.err


@pytest.mark.slow
def test_a_debug_sweep_is_new_each_time_and_touches_no_other(tmp_path: Path) -> None:
    for _ in range(2):
        options = [
            *BARS,
            "seed=0,1",
            "experiment=beyond_sparse_nmf",
            "callbacks=revival",
            "debug=fast_dev_run",
            "name=precious",
        ]
        assert type_in("train.py", ["-m", *options], tmp_path).status == 0
    assert len(list((tmp_path / "outputs" / "precious").iterdir())) == 2


def test_a_dry_run_by_hand_saves_no_checkpoint(tmp_path: Path) -> None:
    assert type_in("train.py", [*BARS, "+trainer.fast_dev_run=true", "hydra.run.dir=run"], tmp_path).status == 0
    assert not list(tmp_path.rglob("*.ckpt"))


def test_overfitting_lowers_the_loss_of_the_same_few_batches(tmp_path: Path) -> None:
    losses = []
    for epochs in ("1", "30"):
        options = [*BARS, "debug=overfit", f"trainer.max_epochs={epochs}", "trainer.overfit_batches=1", "logger=csv"]
        outcome = type_in("train.py", [*options, "data.batch_size=10", f"hydra.run.dir={epochs}"], tmp_path)
        assert outcome.status == 0, outcome.err
        assert "turning off" not in outcome.err
        losses.append(json.loads((tmp_path / epochs / "metrics.json").read_text())["val/loss"])
    assert losses[1] < losses[0]
