"""Checkpoints as files: written whole or not at all, read without running anything that they bring along."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from partae.checks import InputError
from partae.files import replacing


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it; reads one with ``weights_only=True``, whoever asks."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        with replacing(Path(path)) as beside:
            torch.save(checkpoint, beside)

    def load_checkpoint(
        self, path: str | Path, map_location: Callable[..., Any] | None = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        return dict(read(Path(path)))


def read(file: Path) -> Mapping[str, Any]:
    """What the checkpoint ``file`` holds, on the CPU.

    Raises:
        InputError: if it is damaged, foreign or hostile.
    """
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
    return checkpoint


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


def latest(folder: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """The checkpoint of the run in ``folder`` that came farthest, of those that are whole; None if there is none."""
    found = []
    for file in sorted((folder / "checkpoints").glob("*.ckpt")):
        try:
            found.append((file, read(file)))
        except InputError as error:
            warnings.warn(f"{error}; the run goes on from the one before, or from its start", stacklevel=2)
    return max(found, key=lambda item: item[1]["global_step"], default=None)
