"""Files that are whole or absent: written beside their place, then renamed into it."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from partae.checks import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``, which takes its place when the block ends well and goes when it fails.

    Raises:
        OSError: if the folder cannot be written; the message names it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o666 & ~umask)
        beside.replace(path)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        # that the disk is full comes without a name
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        beside.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    with replacing(path) as beside:
        beside.write_bytes(content)


def write_json(path: Path, values: Mapping[str, float]) -> None:
    """Write a flat object of finite numbers to ``path``, whole or not at all.

    Raises:
        InputError: if a number is infinite or not a number, which JSON cannot hold; the message names it.
    """
    for key, value in values.items():
        if not math.isfinite(value):
            raise InputError(f"{key} is {value}, which JSON cannot hold: {path} is not written")
    write_bytes(path, (json.dumps(values, indent=2) + "\n").encode())
