"""Command lines that stand for longer ones, and those that a user may type next."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from partae.checks import InputError
from partae.files import checkpoints, read_yaml, run_folders, subtree

CONFIGURATIONS = ("config.yaml", "hydra.yaml")
INSTALLED = {"train.py": "partae-train", "evaluate.py": "partae-evaluate"}
# where a run writes is said by the command line, not by a folder that may be a stranger's
PLACES = [f"logger.{key}." for key in ("save_dir", "name", "version", "sub_dir", "prefix")]
PLACES += ["callbacks.checkpoint.dirpath.", "callbacks.checkpoint.filename.", "trainer.default_root_dir."]


def resume(arguments: list[str]) -> list[str]:
    """The command line that ``resume=<run folder>`` stands for: the folder's own, into the same folder.

    Args:
        arguments: of the command line; without ``resume=`` they are returned as they are.

    Raises:
        SystemExit: if the folder holds no run; the message is printed.
    """
    given = [argument for argument in arguments if argument.startswith("resume=")]
    if not given:
        return arguments
    value = _value(given[-1])
    if not isinstance(value, str):
        _refuse(f"{given[-1]} must name one folder: runs go on one by one")
    folder = Path(value)
    place = quoted(str(folder))
    if f"hydra.run.dir={place}" in arguments:
        return arguments  # another process of the same run, started with what this stands for
    file = folder / ".hydra" / "overrides.yaml"
    if (folder / "multirun.yaml").exists():
        _refuse(f"resume={folder} is a sweep: it goes on by the same command again, which skips what is finished")
    if not file.exists():
        _refuse(f"resume={folder} is not the folder of a run: it has no {file.relative_to(folder)}")
    flags, others = _split(argument for argument in arguments if not argument.startswith("resume="))
    own = [text for text in _overrides(file) if text not in others]
    for text in own:
        if not _is_tame(text):
            _refuse(
                f"{file} holds {text!r}, which could run, or write, what its author likes: if you trust it, type it "
                f"behind {given[-1]}, as {shlex.quote(text)}"
            )
    return [*flags, *own, *others, f"resume={place}", f"hydra.run.dir={place}"]


def as_trained(arguments: list[str]) -> list[str]:
    """The command line of evaluate.py, with the images that its runs were trained on, unless it has a ``data=`` itself.

    Args:
        arguments: of the command line.

    Raises:
        SystemExit: if its runs were trained on different images, or what a folder says of them is damaged; the message
            is printed.
    """
    given = [argument.removeprefix("ckpt=") for argument in arguments if argument.startswith("ckpt=")]
    if not given or any(argument.startswith("data=") for argument in arguments):
        return arguments
    paths = _paths(given[-1])
    if not paths or not all(path.is_file() or run_folders(path) or checkpoints(path) for path in paths):
        return arguments  # evaluate.py says what is not there
    try:
        found = [_images_of(folder) for folder in _runs(paths)]
    except InputError as error:
        _refuse(str(error))
    if not (found and all(found)):
        note = f"Nothing says what images ckpt={given[-1]} was trained on: the default ones are taken, unless by data="
        print(note, file=sys.stderr)
        return arguments
    if any(_source_of(images) != _source_of(found[0]) for images in found):
        _refuse(f"ckpt={given[-1]} names runs of different images: evaluate them one by one, or on others by data=")
    flags, others = _split(arguments)
    return [*flags, *(f"{key}={value}" for key, value in found[0].items()), *others]


def none_for_null(arguments: list[str], conf: Path) -> list[str]:
    """The command line with ``group=none``, a choice of ``conf``, for ``group=null``, which Hydra refuses."""
    nulls = {f"{file.parent.name}=null": f"{file.parent.name}=none" for file in conf.glob("*/none.yaml")}
    return [nulls.get(argument, argument) for argument in arguments]


def command(script: str) -> str:
    """How a user calls a script: as this one was, from a clone or installed."""
    called = Path(sys.argv[0])
    return f"python {shlex.quote(str(called.with_name(script)))}" if called.name in INSTALLED else INSTALLED[script]


def resume_line(folder: Path, overrides: Iterable[str] = ()) -> str:
    """What a user types to go on with the run in ``folder``, which was given ``overrides``."""
    trusted = [text for text in overrides if not _is_tame(text)]  # the folder may be a stranger's by then
    return " ".join([command("train.py"), typed("resume", folder), *map(shlex.quote, trusted)])


def again_line(folder: Path) -> str:
    """What a user types to go on with the sweep in ``folder``, which this command began."""
    flags, overrides = _split(sys.argv[1:])
    given = [each for each in (*flags, *overrides) if not each.startswith("hydra.sweep.dir=")]
    return f"{command('train.py')} {shlex.join(given)} {typed('hydra.sweep.dir', folder)}"


def evaluate_line(folder: Path) -> str:
    """What a user types to evaluate the run in ``folder``."""
    return f"{command('evaluate.py')} {typed('ckpt', folder)}"


def tensorboard_line(folder: Path) -> str:
    """What a user types to look at the run in ``folder`` in TensorBoard."""
    return f"tensorboard {shlex.quote(f'--logdir={folder}')}"


def typed(key: str, path: Path) -> str:
    """An override as it is typed: quoted for Hydra, and for the shell, where that is needed."""
    name = str(path)
    is_word = re.fullmatch(r"[\w./+-]+", name, re.ASCII) and _value(f"{key}={name}") == name
    return f"{key}={name}" if is_word else shlex.quote(f"{key}={quoted(name)}")


def _split(arguments: Iterator[str] | list[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags, with what belongs to them, and the overrides, which it takes behind one another only."""
    flags: list[str] = []
    overrides: list[str] = []
    for argument in arguments:
        is_override = not argument.startswith("-") and ("=" in argument or argument.startswith("~"))
        (overrides if is_override else flags).append(argument)
    return flags, overrides


def _overrides(file: Path) -> list[str]:
    """The overrides in the file of a run's folder."""
    try:
        found = read_yaml(file, list)
    except InputError:
        found = [None]
    if not all(isinstance(text, str) for text in found):
        _refuse(f"{file} must be a list of overrides")
    return found


def _is_tame(text: str) -> bool:
    """Whether an override, maybe a stranger's, is a value or a choice of conf/, and nothing that acts."""
    try:
        (override,) = OverridesParser.create().parse_overrides([text])
        group, value = (override.key_or_group or "").removeprefix("/"), override.value()
    except HydraException:
        return False
    chosen = "." not in group and isinstance(value, str | list) and ".." in str(value)
    where = f"{group}/{override.package or ''}".replace(".", "/").split("/")
    whole = "." in group or isinstance(value, dict)  # and not a choice of conf/
    moved = whole and any(f"{group}.".startswith(place) or place.startswith(f"{group}.") for place in PLACES)
    return not ("hydra" in where or chosen or moved or "_target_" in group or _acts(value))


def _acts(value: Any) -> bool:
    """Whether a value of an override names a class to be built, or refers to anything."""
    if isinstance(value, dict):
        return any("_target_" in str(key) or _acts(str(key)) or _acts(each) for key, each in value.items())
    if isinstance(value, list):
        return any(map(_acts, value))
    return "${" in str(value)


def _value(override: str) -> Any:
    """The value of an override, without its quotes; as it stands where Hydra cannot read it, None of several."""
    try:
        (parsed,) = OverridesParser.create().parse_overrides([override])
    except HydraException:
        return override.partition("=")[2]
    if parsed.is_sweep_override():
        return None
    return parsed.value() if isinstance(parsed.value(), Mapping | list) else str(parsed.value())


def _paths(ckpt: str) -> list[Path]:
    """The files and folders that ``ckpt=`` names."""
    value = _value(f"ckpt={ckpt}")
    if value is None:
        _refuse(f"ckpt={ckpt} is a sweep: give a list of them, in brackets")
    paths = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else [value]
    return [Path(str(path)) for path in paths]


def _runs(paths: list[Path]) -> list[Path]:
    """The folders of the runs in ``paths``, those of them that say what they were trained on."""
    folders = []
    for path in paths:
        above = [path, *path.parents][:4]  # a checkpoint, or an export of it
        folders += run_folders(path) or [next((each for each in above if (each / ".hydra").is_dir()), path)]
    return [folder for folder in folders if all((folder / ".hydra" / name).exists() for name in CONFIGURATIONS)]


def _images_of(folder: Path) -> dict[str, str]:
    """What chooses the images of the run in ``folder``, as overrides: a choice of conf/data, and plain values.

    Where a download lies is left out if that is not there: the run may come from another machine.
    """
    choice = subtree(read_yaml(folder / ".hydra" / "hydra.yaml"), "hydra.runtime.choices").get("data")
    if not (isinstance(choice, str) and re.fullmatch(r"\w[\w./+-]*", choice, re.ASCII)) or ".." in choice:
        return {}
    data = dict(_leaves(subtree(read_yaml(folder / ".hydra" / "config.yaml"), "data")))
    if "source.download" in data and not Path(str(data.get("source.root"))).is_dir():
        data.pop("source.root", None)
    # added, or in place of what is there: a user may have added keys to those of conf/
    return {"data": choice, **{f"++data.{key}": quoted(value) for key, value in data.items()}}


def _source_of(images: Mapping[str, str]) -> dict[str, str]:
    """What tells images apart, of what `_images_of` gives: not how they are served, nor where a download lies."""
    source = {key: value for key, value in images.items() if key == "data" or key.startswith("++data.source.")}
    known = images.get("++data.fingerprint")  # wherever they lie
    if source.pop("++data.source.download", None) or known:
        source.pop("++data.source.root", None)
    return source | ({"fingerprint": known} if known else {})


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The plain values of nested mappings by their dotted keys, without references and the classes to be built."""
    for name, value in tree.items():
        if name == "_target_" or not re.fullmatch(r"\w+", str(name)):
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        elif _is_plain(value):
            yield f"{prefix}{name}", value


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not _acts(value) and (value is None or isinstance(value, bool | int | float | str))


def quoted(value: Any) -> str:
    """A plain value as Hydra's command line takes it."""
    if isinstance(value, list):
        return f"[{','.join(map(quoted, value))}]"
    if isinstance(value, str):
        # a backslash stands for itself, but before a quote and at the end
        return "'" + re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), value) + "'"
    return str(value) if isinstance(value, float) else json.dumps(value)


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(1)
