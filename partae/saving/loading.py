"""From a checkpoint or a run folder to a model, without running anything that the file brings along."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from partae.checks import InputError
from partae.files import checkpoints
from partae.metrics import check_gains
from partae.representation import Representation
from partae.saving.checkpoints import check_whole, read
from partae.saving.exporting import METADATA, digest
from partae.saving.specification import restore


def load(path: str | Path) -> Representation:
    """The model in a checkpoint, a run folder (its last checkpoint) or an exported safetensors file.

    It is in evaluation mode, on the CPU and without gradients; its verbs take and give numpy arrays or tensors.

    The file is read with ``weights_only=True``, and only classes that `partae.saving.specification` allows are built.
    A packed file, or a tensor that claims to be larger than the file, is refused before it takes any memory.

    Raises:
        InputError: if there is no model at ``path``, or it is damaged, foreign or hostile.
    """
    file = checkpoint_file(path)
    specification, weights, gains = _read_safetensors(file) if file.suffix == ".safetensors" else _read_checkpoint(file)
    if not (isinstance(specification, Mapping) and isinstance(weights, Mapping)):
        raise InputError(f"{file} is not a checkpoint of partae")
    try:
        model = restore(specification, weights, Representation)
        model.gains = check_gains(gains)
    except Exception as error:  # a constructor with arguments that somebody made up raises nearly anything
        raise InputError(f"{file} does not fit what it says of itself: {error}") from error
    return model.eval().requires_grad_(False)


def _read_checkpoint(file: Path) -> tuple[Any, Any, Any]:
    """The specification, the weights (None where there are none) and the gains in a checkpoint."""
    checkpoint = read(file)
    return checkpoint["model"], checkpoint.get("state_dict"), checkpoint.get("gains", {})


def _read_safetensors(file: Path) -> tuple[Any, dict[str, Tensor], Any]:
    """The specification, the weights and the gains in a file that `partae.saving.exporting` wrote."""
    try:
        with safe_open(file, framework="pt") as opened:
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            said = json.loads((opened.metadata() or {}).get(METADATA, "null"))
    except (SafetensorError, ValueError, RecursionError) as error:
        raise InputError(
            f"{file} is not a whole safetensors file: it is truncated, damaged or of another kind"
        ) from error
    if not isinstance(said, Mapping):
        raise InputError(f"{file} is not an export of partae")
    model, gains = said.get("model"), said.get("gains", {})
    if said.keys() - {"model", "gains", "sha256"} or said.get("sha256") != digest(weights, model, gains):
        raise InputError(f"{file} is damaged: its weights are not those that were written")
    return model, weights, gains


def checkpoint_file(path: str | Path) -> Path:
    """The file that ``path``, a checkpoint, an exported safetensors file or a run folder, stands for.

    Raises:
        InputError: if there is none.

    Warns:
        UserWarning: if the last checkpoint of a run is damaged, and another one stands for it.
    """
    path = Path(path)
    if path.is_file():
        return path
    file = path / "checkpoints" / "last.ckpt"
    if file.is_file():
        return _or_another(file)
    if path.is_dir():
        raise InputError(f"ckpt={path} is a folder without a run: it has no checkpoints/last.ckpt")
    raise InputError(f"ckpt={path} does not exist")


def _or_another(file: Path) -> Path:
    """A run's last checkpoint, or another one of the run where that is damaged and the other is whole."""
    try:
        check_whole(file)
    except InputError as error:
        for other in checkpoints(file.parent.parent):
            with suppress(InputError):
                check_whole(other)
                warnings.warn(f"{error}; it is {other.name} that is loaded", stacklevel=3)
                return other
    return file
