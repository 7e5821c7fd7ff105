"""From a checkpoint or a run folder to a model, without running anything that the file brings along."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from partae.checks import InputError
from partae.representation import Representation
from partae.specification import build


def load(path: str | Path) -> Representation:
    """The model in a checkpoint or a run folder (its last checkpoint), in evaluation mode, on the CPU.

    The file is read with ``weights_only=True``, its parts are built only from classes that `partae.specification`
    allows. A packed file, or a tensor that says to be larger than what the file holds, is refused before it takes any
    memory.

    Raises:
        InputError: if there is no checkpoint at ``path``, or it is damaged, foreign or hostile.
    """
    file = checkpoint_file(path)
    try:
        _check_whole(file)
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(f"{file} holds more than weights and is refused, or it is damaged") from error
    except Exception as error:  # a damaged file makes torch raise nearly anything
        raise InputError(f"{file} is not a whole checkpoint: it is damaged") from error
    if not (isinstance(checkpoint, Mapping) and isinstance(checkpoint.get("model"), Mapping)):
        raise InputError(f"{file} is not a checkpoint of partae")
    try:
        with torch.device("meta"):  # nothing is allocated before the weights are known to fit
            model = build(checkpoint["model"], Representation)
        _check_weights(checkpoint["state_dict"], model)
        model.load_state_dict(checkpoint["state_dict"], assign=True)
    except Exception as error:  # so does a constructor with arguments that somebody made up
        raise InputError(f"{file} does not fit what it says of itself: {error}") from error
    return model.eval()


def _check_whole(file: Path) -> None:
    """Raise unless ``file`` is a whole zip archive that takes no more room unpacked than packed, as torch writes it."""
    refusal = InputError(f"{file} is not a whole checkpoint: it is truncated, damaged or of another kind")
    if not zipfile.is_zipfile(file):
        raise refusal
    with zipfile.ZipFile(file) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > file.stat().st_size:
            raise InputError(f"{file} would take more memory than its size: torch packs no checkpoint; it is refused")
        if archive.testzip() is not None:
            raise refusal


def _check_weights(weights: Mapping[str, Tensor], model: Representation) -> None:
    """Raise unless each of ``weights`` has all its values in the file, and they are numbers of the model's own kind."""
    expected = model.state_dict()
    for name, tensor in weights.items():
        if tensor.layout != torch.strided or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
            raise InputError(f"{name} says to be larger than what the file holds")
        if name in expected and tensor.dtype != expected[name].dtype:
            raise InputError(f"{name} must be {expected[name].dtype}; got {tensor.dtype}")
        if not tensor.isfinite().all():
            raise InputError(f"{name} has values that are infinite or not a number: the training diverged")


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
