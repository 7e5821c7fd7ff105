"""A last checkpoint that was tampered with, or fits another run."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.run.killing import Kill, trained


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with one epoch left to train, and its last checkpoint only."""
    folder = tmp_path_factory.mktemp("stopped")
    assert trained(folder, Kill(3, 1)) == -signal.SIGKILL
    (folder / "checkpoints" / "best.ckpt").unlink()
    return folder


@pytest.fixture
def stopped(stopped_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped_once, tmp_path / "stopped"))


def change(file: Path, *keys: Any, to: Any) -> None:
    """Change what a checkpoint says at some keys, one within another; ``...`` takes it away."""
    checkpoint = torch.load(file, weights_only=True)
    place = checkpoint
    for depth, key in enumerate(keys, start=1):
        own = next(name for name in place if "Checkpoint" in name) if key == "Checkpoint" else key
        if depth < len(keys):
            place = place[own]
        elif to is ...:
            del place[own]
        else:
            place[own] = to
    torch.save(checkpoint, file)


@pytest.mark.parametrize("place", ["local://{precious}", "{folder}/link/folder.ckpt"])
def test_a_checkpoint_deletes_nothing(place: str, stopped: Path, tmp_path: Path) -> None:
    folder, precious = stopped / "checkpoints", tmp_path / "precious"
    (precious / "folder.ckpt").mkdir(parents=True)
    (precious / "thesis.ckpt").touch()
    (folder / "link").symlink_to(precious)  # which a command refuses before (`partae.run.run_folder`)
    path = place.format(precious=precious, folder=folder)
    changes = dict.fromkeys(("last_model_path", "best_model_path", "kth_best_model_path"), path)
    scores = {path: torch.tensor(9.0), f"{folder}/link/thesis.ckpt": torch.tensor(9.0)}
    for key, value in {**changes, "best_k_models": scores}.items():
        change(folder / "last.ckpt", "callbacks", "Checkpoint", key, to=value)
    if place.startswith("local"):
        change(folder / "last.ckpt", "callbacks", "Checkpoint", "dirpath", to=...)
    assert trained(stopped) == 0
    assert {each.name for each in precious.iterdir()} == {"folder.ckpt", "thesis.ckpt"}


WEIGHT = ("state_dict", "decoder.atoms")
MOMENT = ("optimizer_states", 0, "state", 0, "exp_avg")


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (WEIGHT, torch.zeros(6, 1, 9, 9), "does not fit this run: RuntimeError: .* size mismatch for decoder.atoms"),
        (WEIGHT, ..., 'does not fit this run: RuntimeError: .* Missing key.s. in state_dict: "decoder.atoms"'),
        (WEIGHT, torch.full((6, 1, 8, 8), torch.nan), "training diverged in epoch 3"),
        (MOMENT, torch.zeros(1), "last.ckpt holds a state of an optimizer whose exp_avg fits no parameter"),
        (
            (*MOMENT[:-1], "step"),
            torch.zeros(0),
            "last.ckpt holds a state of an optimizer whose step fits no parameter",
        ),
        (("optimizer_states", 0, "param_groups", 0, "lr"), "high", "last.ckpt does not fit this run"),
        (("optimizer_states",), [5], "last.ckpt does not fit this run"),
        (("lr_schedulers", 0), {"step": 5}, "last.ckpt does not fit this run"),
        (("loops",), {"fit_loop": {"epoch_progress": 3}}, "last.ckpt does not fit this run"),
        (("random",), {}, "last.ckpt does not fit this run: KeyError: 'cpu'"),
        (("callbacks", "Checkpoint"), {"best_k_models": 3}, "last.ckpt does not fit this run"),
    ],
)
def test_what_a_run_cannot_go_on_from_is_one_message(
    keys: tuple[Any, ...], value: Any, words: str, stopped: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    change(stopped / "checkpoints" / "last.ckpt", *keys, to=value)
    assert trained(stopped) == 1  # and no signal of a process that crashed
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert re.match(f"partae.checks.InputError: .*{words}", error)
    assert not (stopped / "metrics.json").exists()
