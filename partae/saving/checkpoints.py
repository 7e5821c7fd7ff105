"""Checkpoints as files: written whole or not at all, read without running anything that they bring along."""

from __future__ import annotations

import io
import pickle
import shutil
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import LambdaCallback
from torch import Tensor
from torch.optim import Optimizer

from partae.checks import InputError
from partae.files import LAST, checkpoints, replacing, write_bytes

# what a training needs to be resumed
NEEDED: dict[str, type] = {"state_dict": Mapping, "optimizer_states": list, "lr_schedulers": list, "callbacks": Mapping}
NEEDED |= {"loops": Mapping, "global_step": int, "epoch": int, "seconds": float, "measures": Mapping, "random": Mapping}
# the tensors of an optimizer's state that have the shape of their parameter
OF_EACH_VALUE = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "grad_avg"}
OF_EACH_VALUE |= {"acc_delta", "sum", "ax", "prev", "step_size"}


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it; reads one with ``weights_only=True``, whoever asks."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        content = io.BytesIO()  # torch would not name a full disk
        torch.save(checkpoint, content)
        write_bytes(Path(path), content.getbuffer())

    def load_checkpoint(
        self, path: str | Path, map_location: Callable[..., Any] | None = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        return dict(read(Path(path)))


def read(file: Path) -> Mapping[str, Any]:
    """The content of the checkpoint ``file``, on the CPU.

    Raises:
        InputError: if it is damaged, foreign or hostile.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > file.stat().st_size:
                raise InputError(f"{file} is refused: it would unpack to more than its size, and torch packs nothing")
            if damaged := archive.testzip():  # torch does not compare the checksums
                raise zipfile.BadZipFile(damaged)
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(f"{file} is refused: it holds more than weights, or it is damaged") from error
    except Exception as error:  # a damaged file makes zipfile and torch raise nearly anything
        raise InputError(f"{file} is not a whole checkpoint: it is truncated, damaged or of another kind") from error
    if not (isinstance(checkpoint, Mapping) and isinstance(checkpoint.get("model"), Mapping)):
        raise InputError(f"{file} is not a checkpoint of partae")
    _check_tensors(file, checkpoint)
    return checkpoint


def _check_tensors(file: Path, checkpoint: object) -> None:
    """Refuse a tensor that is larger than its values in the file: any use of it could take all memory."""
    pending, seen = [checkpoint], set()
    while pending:
        value = pending.pop()
        if isinstance(value, Tensor):
            is_plain = value.layout == torch.strided and value.device.type == "cpu"
            if not is_plain or value.untyped_storage().nbytes() < value.numel() * value.element_size():
                raise InputError(f"{file} is refused: it does not hold every value of its tensors")
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            pending += value.values() if isinstance(value, Mapping) else value


def latest(folder: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """The checkpoint from which the run in ``folder`` is resumed, and its content; None where none is whole."""
    for file in checkpoints(folder):
        try:
            checkpoint = read(file)
            for name, kind in NEEDED.items():
                if not isinstance(checkpoint.get(name), kind):
                    raise InputError(f"{file} has no {name}, which a training needs to be resumed")
        except InputError as error:
            warnings.warn(f"{error}; the run is resumed from another checkpoint, or starts anew", stacklevel=2)
        else:
            return file, checkpoint
    return None


def make_last(file: Path) -> None:
    """Make ``file`` the last checkpoint of its run, and delete what a killed process left half written beside it."""
    last = file.with_name(LAST)
    if file != last:
        with replacing(last) as beside:
            shutil.copyfile(file, beside)
    for left in last.parent.glob(".*.ckpt"):
        left.unlink()


def check_state(optimizer: Optimizer, file: object = "a checkpoint") -> None:
    """Refuse a state of ``optimizer``, read from ``file``, that does not fit its parameters.

    The kernels of an optimizer do not check that, and would crash the process.

    Raises:
        InputError: if a tensor of a parameter's state has another shape or kind than the parameter.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if not isinstance(value, Tensor):
                continue
            fits = value.shape == parameter.shape and value.dtype == parameter.dtype
            if (name in OF_EACH_VALUE and not fits) or (name == "step" and value.numel() != 1):
                raise InputError(f"{file} holds a state of an optimizer whose {name} fits no parameter of this run")


@contextmanager
def going_on_from(file: Path | None, trainer: Trainer) -> Iterator[None]:
    """If the block fails before it has trained a batch, name ``file`` in the error.

    Args:
        file: the checkpoint from which ``trainer`` is resumed in the block, if any.
        trainer: trains in the block.

    Raises:
        InputError: in place of whatever Lightning or an optimizer raises over the content of ``file``.
    """
    has_trained = threading.Event()
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    callbacks.append(LambdaCallback(on_train_batch_end=lambda *_: has_trained.set()))
    try:
        yield
    except (InputError, OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if file is None or has_trained.is_set():
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"{file} does not fit this run: {type(error).__name__}: {reason}") from error
