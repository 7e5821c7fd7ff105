"""From a checkpoint or a run folder to a model, without running code that the file contains."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

from partae.checks import InputError
from partae.files import LAST, checkpoints, run_folders
from partae.metrics import check_gains
from partae.representation import Representation
from partae.saving.checkpoints import read
from partae.saving.exporting import read_safetensors
from partae.saving.specification import restore


def load(path: str | Path, trust: str | Collection[str] = ()) -> Representation:
    """The model in a checkpoint, a run folder (its last checkpoint) or an exported safetensors file.

    It is in evaluation mode, on the CPU and without gradients; its verbs take and give numpy arrays or tensors.

    The file is read with ``weights_only=True``, and only classes that `partae.saving.specification` allows are built.
    A packed file, or a tensor that claims to be larger than the file, is refused before it takes any memory.

    Args:
        path: of the model.
        trust: packages of your own, as ["my_package"]: an encoder, a decoder or an activation that the file names is
            imported from there and built, with the arguments that the file gives.

    Raises:
        InputError: if there is no model at ``path``, or it is damaged, foreign or hostile.
    """
    file = checkpoint_file(path)
    content = (read_safetensors if file.suffix == ".safetensors" else read)(file)
    specification, weights = content["model"], content.get("state_dict")
    if not (isinstance(specification, Mapping) and isinstance(weights, Mapping)):
        raise InputError(f"{file} is not a checkpoint of partae")
    try:
        trusted = (trust,) if isinstance(trust, str) else trust
        model = restore(specification, weights, Representation, trusted)
        model.gains = check_gains(content.get("gains", {}))
    except Exception as error:  # a constructor with arguments that somebody made up raises nearly anything
        raise InputError(f"{file} does not fit what it says of itself: {error}") from error
    return model.eval().requires_grad_(False)


def checkpoint_file(path: str | Path) -> Path:
    """The file that ``path``, a checkpoint, an exported safetensors file or a run folder, stands for.

    Raises:
        InputError: if there is none.

    Warns:
        UserWarning: if the last checkpoint of a run is missing or truncated, and another one stands for it.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"ckpt={path} does not exist")
    files = checkpoints(path)
    if not files and (runs := run_folders(path)):
        raise InputError(f"ckpt={path} is the folder of a sweep: name one of its runs, as {runs[0]}")
    if not files:
        raise InputError(f"ckpt={path} is a folder without a run: it has no checkpoints/{LAST}")
    file = next(filter(zipfile.is_zipfile, files), files[0])
    if file.name != LAST:
        warnings.warn(f"{file.with_name(LAST)} is missing or truncated: {file.name} is loaded instead", stacklevel=2)
    return file
