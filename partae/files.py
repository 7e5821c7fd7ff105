"""Files that are whole or absent: written beside their place, then renamed into it. And files that are only data."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from partae.checks import InputError

Plain = TypeVar("Plain", dict[str, Any], list[Any])

BLOCK = 4096  # bytes
LAST = "last.ckpt"  # the checkpoint from which a run is resumed
SWEEP = "multirun.yaml"  # what was asked for, in the folder of each sweep
SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C, where it is built, takes a tenth of the time


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
        raise OSError(error.errno, error.strerror, str(path)) from error  # a full disk has no name
    finally:
        beside.unlink(missing_ok=True)


def no_link(path: Path) -> Path:
    """Return ``path`` if it is no symbolic link, through which a stranger's folder could have any file overwritten.

    Raises:
        InputError: if it is one.
    """
    if path.is_symlink():
        raise InputError(
            f"{path} is a symbolic link to {path.readlink()}, where nothing is overwritten: put that in its place, "
            "or delete the link"
        )
    return path


def fingerprint(files: Mapping[str, Path], blocks: int) -> str:
    """16 hexadecimal digits that tell these files from others of the same names, wherever they lie.

    They depend on names, sizes, and some of the content, so that a second is enough for very many files.

    Args:
        files: by their names.
        blocks: of 4,096 bytes, spread over each file, that are read; the last one is always among them.

    Raises:
        InputError: if a file cannot be read; the message names it.
    """
    found = hashlib.blake2b(digest_size=8)
    for name, path in sorted(files.items()):
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                found.update(os.fsencode(f"{name}\0{size}\0"))
                last = max(0, size - BLOCK)
                for place in sorted({last * number // max(1, blocks - 1) for number in range(blocks)} | {last}):
                    file.seek(place)
                    found.update(file.read(BLOCK))
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror})") from error
    return found.hexdigest()


def write_bytes(path: Path, content: bytes | memoryview) -> None:
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


def read_json(path: Path) -> dict[str, Any]:
    """The object in ``path``.

    Raises:
        InputError: if it is damaged, or holds anything else; the message names it.
    """
    return _read(path, json.loads, dict)


def read_yaml(path: Path, kind: type[Plain] = dict) -> Plain:  # type: ignore[assignment]
    """The plain data in ``path``, a dict or a list as ``kind`` says: no reference in it is followed, no object built.

    Raises:
        InputError: if it is damaged, or holds anything else; the message names it.
    """
    return _read(path, lambda text: yaml.load(text, SafeLoader), kind)  # noqa: S506


def _read(path: Path, parse: Callable[[str], Any], kind: type[Plain]) -> Plain:
    try:
        found = parse(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
    if not isinstance(found, kind):
        raise InputError(f"{path} is damaged: it holds no {kind.__name__}")
    return found


def subtree(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The mapping in ``tree`` at a dotted key; an empty one where a file has something else there, or nothing.

    >>> subtree({"model": {"encoder": {"hidden": []}}}, "model.encoder")
    {'hidden': []}
    """
    found: Any = tree
    for name in filter(None, key.split(".")):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of the run in ``folder``: the last one first, then the others, the newest first.

    What a killed process left half written is not among them.
    """
    files = [file for file in (folder / "checkpoints").glob("*.ckpt") if not file.name.startswith(".")]
    return sorted(files, key=lambda file: (file.name == LAST, file.lstat().st_mtime), reverse=True)


def run_folders(path: str | Path) -> list[Path]:
    """The runs in a sweep's folder, by name; none if ``path`` is no such folder."""
    return sorted(file.parent.parent for file in Path(path).glob(f"*/checkpoints/{LAST}"))


def run_folder(file: Path) -> Path:
    """The run folder that a checkpoint belongs to, or the folder that it lies in."""
    return file.parent.parent if file.parent.name == "checkpoints" else file.parent
