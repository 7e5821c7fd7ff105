"""A model in files that other programs read: safetensors for all of it, ONNX for its encoder."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import io
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from partae.checks import InputError
from partae.files import replacing, write_bytes
from partae.representation import Representation
from partae.saving.specification import describe

FILES = {"safetensors": "model.safetensors", "onnx": "encoder.onnx"}
FORMATS = ("none", *FILES)
METADATA = "partae"  # the key under which a safetensors file says, as JSON, what model it is and what its weights are


def export(model: Representation, form: str, folder: Path) -> Path | None:
    """Write ``model`` into ``folder`` in a form of `FORMATS`; the file, or None for "none".

    Raises:
        InputError: if the form is "onnx", and its packages are missing or the encoder has no such form.
    """
    if form == "none":
        return None
    file = folder / FILES[form]
    if form == "safetensors":
        write_bytes(file, to_safetensors(model))
    else:
        with replacing(file) as beside:
            to_onnx(model, beside)
    return file


def to_safetensors(model: Representation) -> bytes:
    """A file of the weights of ``model``, with its specification in their header; `partae.load` reads both."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    # under one key: safetensors writes several in any order, and a file should be the same each time
    said = {"model": describe(model), "gains": model.gains}
    return save(weights, metadata={METADATA: json.dumps({**said, "sha256": digest(weights, *said.values())})})


def digest(weights: Mapping[str, Tensor], specification: Any, gains: Any) -> str:
    """The SHA-256 of ``weights``, their ``specification`` and the ``gains``, by which a single altered bit is noticed.

    Without gains, it is that of files of before there were any.
    """
    found = hashlib.sha256(json.dumps([specification, gains] if gains else specification, sort_keys=True).encode())
    for name in sorted(weights):
        found.update(name.encode() + weights[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def to_onnx(model: Representation, file: Path) -> None:
    """Write the encoder of ``model`` to ``file``: any number of ``images`` (B, C, H, W) -> ``code`` (B, K).

    Raises:
        InputError: if the packages of partae's extra "onnx" are missing, or the encoder has no such form.
    """
    if missing := [name for name in ("onnx", "onnxscript") if not importlib.util.find_spec(name)]:
        raise InputError(f"export=onnx needs {' and '.join(missing)}: pip install 'partae[onnx]'")
    images = torch.zeros_like(model.atoms)[:1].repeat(2, 1, 1, 1)
    try:
        with _silence():
            torch.onnx.export(
                _Encoder(model).eval(),
                (images,),
                str(file),
                input_names=["images"],
                output_names=["code"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                external_data=False,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise InputError(f"export=onnx: the encoder of a {type(model).__name__} has no ONNX form") from error


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing is printed or logged: the exporter tells of whole graphs, and of operators that it leaves out."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


class _Encoder(nn.Module):
    """The encoder by itself, as a module's forward: what an exporter looks for."""

    def __init__(self, model: Representation) -> None:
        super().__init__()
        self.model = model
        if fixed := getattr(getattr(model, "encoder", None), "at", None):  # ONNX has no pseudo-inverse
            self.model = copy.deepcopy(model)
            self.model.encoder = fixed(model.atoms)

    def forward(self, images: Tensor) -> Tensor:
        return self.model._encode(images)
