"""Checkpoints as files: written whole or not at all, read without running anything that they bring along."""

from __future__ import annotations

import io
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from partae.checks import InputError
from partae.files import checkpoints, replacing, write_bytes
from partae.saving.specification import check_weights, is_held

# what a training must find to go on
NEEDED: dict[str, type] = {"state_dict": Mapping, "optimizer_states": list, "lr_schedulers": list, "callbacks": Mapping}
NEEDED |= {"loops": Mapping, "global_step": int, "epoch": int, "seconds": float, "measures": Mapping, "random": Mapping}
# what optimizers keep of each value of a parameter; kernels take it on trust that it has the parameter's shape
OF_EACH_VALUE = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "grad_avg"}
OF_EACH_VALUE |= {"acc_delta", "sum", "ax", "prev", "step_size"}


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it; reads one with ``weights_only=True``, whoever asks."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        content = io.BytesIO()  # of a full disk, torch would say something that nobody understands
        torch.save(checkpoint, content)
        write_bytes(Path(path), content.getbuffer())

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
        check_whole(file)
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
        for key, tensor in _tensors(checkpoint):
            if not is_held(tensor):
                raise InputError(f"{file}: {key} says to be larger than what the file holds; it is refused")
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(f"{file} holds more than weights and is refused, or it is damaged") from error
    except Exception as error:  # a damaged file makes torch raise nearly anything
        raise InputError(f"{file} is not a whole checkpoint: it is damaged") from error
    if not (isinstance(checkpoint, Mapping) and isinstance(checkpoint.get("model"), Mapping)):
        raise InputError(f"{file} is not a checkpoint of partae")
    return checkpoint


def _tensors(checkpoint: object) -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested data, each once, by their dotted keys."""
    pending, seen = [("", checkpoint)], set()
    while pending:
        key, value = pending.pop()
        if isinstance(value, Tensor):
            yield key, value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            inner = value.items() if isinstance(value, Mapping) else enumerate(value)
            pending += [(f"{key}.{name}".removeprefix("."), each) for name, each in inner]


def check_whole(file: Path) -> None:
    """Raise unless ``file`` is a whole zip archive that takes no more room unpacked than packed, as torch writes it."""
    refusal = InputError(f"{file} is not a whole checkpoint: it is truncated, damaged or of another kind")
    if not zipfile.is_zipfile(file):
        raise refusal
    with zipfile.ZipFile(file) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > file.stat().st_size:
            raise InputError(f"{file} would take more memory than its size: torch packs no checkpoint; it is refused")
        try:
            damaged = archive.testzip() is not None
        except (NotImplementedError, RuntimeError, zipfile.BadZipFile):  # packed in some way of its own, or locked
            damaged = True
        if damaged:
            raise refusal


def latest(folder: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """The checkpoint of the run in ``folder`` that came farthest, of those that are whole; None if there is none."""
    found = []
    for file in checkpoints(folder):
        try:
            checkpoint = read(file)
            for name, kind in NEEDED.items():
                if not isinstance(checkpoint.get(name), kind):
                    raise InputError(f"{file} says nothing of {name}: no training can go on from it")
            found.append((file, checkpoint))
        except InputError as error:
            warnings.warn(f"{error}; the run goes on from the one before, or from its start", stacklevel=2)
    return max(found, key=lambda item: item[1]["global_step"], default=None)


def make_last(file: Path) -> None:
    """Make ``file`` the last checkpoint of its run, where a kill between two writes, or damage, left another there.

    What a killed process left half written beside it goes.
    """
    last = file.with_name("last.ckpt")
    if file != last:
        with replacing(last) as beside:
            shutil.copyfile(file, beside)
    for left in last.parent.glob(".*.ckpt"):
        left.unlink()


def check_fits(file: Path, weights: Mapping[str, Any], model: nn.Module) -> None:
    """Raise unless ``model`` can take the ``weights`` of a checkpoint that was read from ``file``.

    Raises:
        InputError: if one is of another shape or kind, not finite, or larger than what the file holds.
    """
    own = model.state_dict()
    shapes = {name: tuple(value.shape) if isinstance(value, Tensor) else None for name, value in weights.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in own.items()}:
        raise InputError(f"{file} holds the weights of another model than this run trains")
    try:
        check_weights(weights, own)
    except Exception as error:  # InputError, or what torch raises of a tensor that is none
        raise InputError(f"{file}: {error}") from error


def check_state(optimizer: Optimizer, file: object = "a checkpoint") -> None:
    """Raise unless what ``optimizer`` was given by ``file`` fits its parameters: its kernels take that on trust.

    Raises:
        InputError: if it keeps something of a parameter that has another shape or kind.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and not _fits(name, value, parameter):
                raise InputError(f"{file} holds {name} of an optimizer that fits no parameter of this run")


def _fits(name: str, value: Tensor, parameter: Tensor) -> bool:
    """Whether an optimizer may have kept ``value`` under ``name`` for ``parameter``."""
    if name in OF_EACH_VALUE:
        return value.shape == parameter.shape and value.dtype == parameter.dtype
    return name != "step" or value.numel() == 1


class _FirstBatch(Callback):
    """Knows whether a batch has been trained on in this process, whatever a checkpoint says of steps before."""

    is_past = False

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.is_past = True


@contextmanager
def going_on_from(file: Path | None, trainer: Trainer) -> Iterator[None]:
    """Name ``file``, where there is one, as what an error before the first trained batch comes from.

    Args:
        file: the checkpoint that the block goes on from, if any.
        trainer: which the block trains with.

    Raises:
        InputError: in place of whatever Lightning or an optimizer raises over what the checkpoint says.
    """
    if file is None:
        yield
        return
    batch = _FirstBatch()
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    callbacks.append(batch)
    try:
        yield
    except (InputError, OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if batch.is_past:
            raise
        reason = (str(error).strip().splitlines() or [""])[0]
        raise InputError(f"{file} does not fit this run: {type(error).__name__}: {reason}") from error
