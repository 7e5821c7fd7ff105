"""From a checkpoint or a run folder to a model, without running anything that the file brings along."""

from __future__ import annotations

from pathlib import Path

import torch

from partae.checkpoint import read
from partae.checks import InputError
from partae.representation import Representation
from partae.specification import build


def load(path: str | Path) -> Representation:
    """The model in a checkpoint or a run folder (its last checkpoint), in evaluation mode, on the CPU.

    The file is read with ``weights_only=True``, and parts are built only from classes of partae or torch.nn.

    Raises:
        InputError: if there is no checkpoint at ``path``, or it is damaged, foreign or hostile.
    """
    file = checkpoint_file(path)
    checkpoint = read(file)
    try:
        with torch.device("meta"):  # nothing is allocated before the weights are known to fit
            model = build(checkpoint["model"], Representation)
        model.load_state_dict(checkpoint["state_dict"], assign=True)
    except Exception as error:  # so does a constructor with arguments that somebody made up
        raise InputError(f"{file} does not fit what it says of itself: {error}") from error
    return model.eval()


def checkpoint_file(path: str | Path) -> Path:
    """The checkpoint that ``path``, a checkpoint or a run folder, stands for.

    Raises:
        InputError: if there is none.
    """
    path = Path(path)
    if path.is_file():
        return path
    file = path / "checkpoints" / "last.ckpt"
    if file.is_file():
        return file
    if path.is_dir():
        raise InputError(f"ckpt={path} is a folder without a run: it has no checkpoints/last.ckpt")
    raise InputError(f"ckpt={path} does not exist")


def run_folders(path: str | Path) -> list[Path]:
    """The runs in a sweep's folder, by name; none if ``path`` is no such folder."""
    return sorted(file.parent.parent for file in Path(path).glob("*/checkpoints/last.ckpt"))


def run_folder(file: Path) -> Path:
    """The run folder that a checkpoint belongs to, or the folder that it lies in."""
    return file.parent.parent if file.parent.name == "checkpoints" else file.parent
