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
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from partae.checks import InputError, one_of
from partae.files import replacing, write_bytes
from partae.representation import Representation
from partae.saving.specification import describe

FILES = {"safetensors": "model.safetensors", "onnx": "encoder.onnx"}
FORMATS = ("none", *FILES)
METADATA = "partae"  # the key of a safetensors file's metadata that holds the model, its gains and a digest, as JSON


def export(model: Representation, form: str, folder: str | Path) -> Path | None:
    """Write ``model`` into ``folder`` in a form of `FORMATS`; the file, or None for "none".

    A safetensors file has the specification of the model in its header; `partae.load` reads both. An ONNX file has the
    encoder only: any number of ``images`` (B, C, H, W) -> ``code`` (B, K).

    Raises:
        InputError: if there is no such form, or "onnx" lacks its packages or cannot hold the encoder.
    """
    if one_of("the form of an export", form, FORMATS) == "none":
        return None
    file = Path(folder, FILES[form])
    if form == "onnx":
        with replacing(file) as beside:
            _write_onnx(model, beside)
        return file
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    header: dict[str, Any] = {"model": describe(model), "gains": model.gains}
    header["sha256"] = digest(weights, *header.values())
    # under one key: safetensors writes several in any order, and a file should be the same each time
    write_bytes(file, save(weights, metadata={METADATA: json.dumps(header)}))
    return file


def read_safetensors(file: Path) -> dict[str, Any]:
    """The content of a safetensors file that `export` wrote: ``model``, ``gains`` and ``state_dict``.

    Raises:
        InputError: if it is damaged or foreign.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            header = json.loads((opened.metadata() or {}).get(METADATA, "null"))
    except (SafetensorError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is not a whole safetensors file: it is damaged or of another kind") from error
    if not (isinstance(header, Mapping) and {"model"} <= header.keys() <= {"model", "gains", "sha256"}):
        raise InputError(f"{file} is not an export of partae")
    content = {"gains": {}, **header}
    if content.pop("sha256", None) != digest(weights, content["model"], content["gains"]):
        raise InputError(f"{file} is damaged: its digest is not that of its weights")
    return {**content, "state_dict": weights}


def digest(weights: Mapping[str, Tensor], specification: Any, gains: Any) -> str:
    """The SHA-256 of a model, by which a single altered bit is noticed; safetensors has no checksum of its own.

    Without gains, it is that of version 0.1, which wrote none.
    """
    found = hashlib.sha256(json.dumps([specification, gains] if gains else specification, sort_keys=True).encode())
    for name in sorted(weights):
        found.update(name.encode() + weights[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _write_onnx(model: Representation, file: Path) -> None:
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
    """Keep the exporter from printing whole graphs, and from logging the operators that it leaves out."""
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
