"""Expand short command lines: ``resume=<folder>``, and ``evaluate.py ckpt=<run>`` with the images of its training."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from partae.checks import InputError
from partae.files import SWEEP, checkpoints, read_yaml, run_folders, subtree
from partae.run.overrides import is_harmless, is_plain, quote, read_value, split_flags

CONFIGURATIONS = ("config.yaml", "hydra.yaml")


def spell_out(arguments: list[str], conf: Path) -> list[str]:
    """The command line as Hydra takes it: flags last, and ``group=none``, a choice of ``conf``, for ``group=null``."""
    nulls = {f"{file.parent.name}=null": f"{file.parent.name}=none" for file in conf.glob("*/none.yaml")}
    flags, overrides = split_flags(arguments)
    return [*(nulls.get(override, override) for override in overrides), *flags]


def resume(arguments: list[str]) -> list[str]:
    """The command line that ``resume=<run folder>`` stands for: the folder's own, into the same folder.

    Args:
        arguments: of the command line; without ``resume=`` they are returned as they are.

    Raises:
        InputError: if the folder holds no run, or overrides that could do harm.
    """
    given = [argument for argument in arguments if argument.startswith("resume=")]
    if not given:
        return arguments
    if _is_multirun(arguments):
        raise InputError(
            f"{given[-1]} continues one run: leave out -m. A sweep is continued by its own command, which skips the "
            "finished jobs"
        )
    value = read_value(given[-1])
    if not isinstance(value, str):
        raise InputError(f"{given[-1]} must name one folder: runs are resumed one at a time")
    folder = Path(value)
    place = quote(str(folder))
    if f"hydra.run.dir={place}" in arguments:
        return arguments  # another process of the same run, started with the longer line
    file = folder / ".hydra" / "overrides.yaml"
    if (folder / SWEEP).exists():
        raise InputError(f"resume={folder} is a sweep: type its command again, which skips the finished jobs")
    if not file.exists():
        raise InputError(f"resume={folder} is not the folder of a run: it has no {file.relative_to(folder)}")
    flags, others = split_flags(argument for argument in arguments if not argument.startswith("resume="))
    overrides = read_yaml(file, list)
    for text in overrides:
        if not isinstance(text, str):
            raise InputError(f"{file} must be a list of overrides")
        if text not in others and not is_harmless(text):
            raise InputError(
                f"{file} holds {text!r}, which could run or write anything: if you trust it, type it behind "
                f"{given[-1]}, as {shlex.quote(text)}"
            )
    own = [text for text in overrides if text not in others]
    return [*flags, *own, *others, f"resume={place}", f"hydra.run.dir={place}"]


def add_training_images(arguments: list[str]) -> list[str]:
    """The command line of evaluate.py, with the images that its runs were trained on, unless it has a ``data=`` itself.

    Args:
        arguments: of the command line.

    Raises:
        InputError: if its runs were trained on different images, a run's folder is damaged, or it asks for a sweep.
    """
    if _is_multirun(arguments):
        raise InputError("evaluate.py takes several models at once, as ckpt=[<one>,<other>]: leave out -m")
    given = [argument.removeprefix("ckpt=") for argument in arguments if argument.startswith("ckpt=")]
    if not given or any(argument.startswith("data=") for argument in arguments):
        return arguments
    paths = _paths(given[-1])
    if not paths or not all(path.is_file() or run_folders(path) or checkpoints(path) for path in paths):
        return arguments  # evaluate.py says what is not there
    images = [_images_of(folder) for folder in _runs(paths)]
    if not (images and all(images)):
        what = f"No run folder says what images ckpt={given[-1]} was trained on"
        print(f"{what}: the default images are used; choose others by data=", file=sys.stderr)
        return arguments
    if any(_identity(each) != _identity(images[0]) for each in images):
        raise InputError(
            f"ckpt={given[-1]} names runs of different images: evaluate them one by one, or choose images by data="
        )
    flags, others = split_flags(arguments)
    return [*flags, *(f"{key}={value}" for key, value in images[0].items()), *others]


def _is_multirun(arguments: list[str]) -> bool:
    return any(re.match("-m|--m|hydra.mode=MULTIRUN", argument) for argument in arguments)


def _paths(ckpt: str) -> list[Path]:
    """The files and folders that ``ckpt=`` names."""
    value = read_value(f"ckpt={ckpt}")
    if value is None:
        raise InputError(f"ckpt={ckpt} is a sweep: give a list of models, in brackets")
    paths = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else [value]
    return [Path(str(path)) for path in paths]


def _runs(paths: list[Path]) -> list[Path]:
    """The folders of the runs in ``paths`` that say what they were trained on."""
    folders = []
    for path in paths:
        above = [path, *path.parents][:4]  # of a checkpoint, or of its export
        folders += run_folders(path) or [next((each for each in above if (each / ".hydra").is_dir()), path)]
    return [folder for folder in folders if all((folder / ".hydra" / name).exists() for name in CONFIGURATIONS)]


def _images_of(folder: Path) -> dict[str, str]:
    """What chooses the images of the run in ``folder``, as overrides: a choice of conf/data, and plain values.

    The folder of a download is left out if it is not there: the run may come from another machine.
    """
    choice = subtree(read_yaml(folder / ".hydra" / "hydra.yaml"), "hydra.runtime.choices").get("data")
    if not (isinstance(choice, str) and re.fullmatch(r"\w[\w./+-]*", choice, re.ASCII)) or ".." in choice:
        return {}
    data = dict(_plain_values(subtree(read_yaml(folder / ".hydra" / "config.yaml"), "data")))
    if "source.download" in data and not Path(str(data.get("source.root"))).is_dir():
        data.pop("source.root", None)
    # ++ adds a key or replaces its value: a user may have added keys to those of conf/
    return {"data": choice, **{f"++data.{key}": quote(value) for key, value in data.items()}}


def _identity(images: Mapping[str, str]) -> dict[str, str]:
    """The overrides of `_images_of` that identify the images: not batch sizes, nor the folder of a download."""
    source = {key: value for key, value in images.items() if key == "data" or key.startswith("++data.source.")}
    fingerprint = images.get("++data.fingerprint")  # wherever they lie
    if source.pop("++data.source.download", None) or fingerprint:
        source.pop("++data.source.root", None)
    return source | ({"fingerprint": fingerprint} if fingerprint else {})


def _plain_values(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The plain values of nested mappings by their dotted keys, without references and classes."""
    for name, value in tree.items():
        if name == "_target_" or not re.fullmatch(r"\w+", str(name)):
            continue
        if isinstance(value, Mapping):
            yield from _plain_values(value, f"{prefix}{name}.")
        elif is_plain(value):
            yield f"{prefix}{name}", value
