"""Overrides of Hydra's command line, as text: read, written, and told from those that could do harm."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

# where a run writes is said by the command line, not by a folder that may be a stranger's
PLACES = ["logger.", "callbacks.checkpoint.dirpath.", "callbacks.checkpoint.filename.", "trainer.default_root_dir."]
PLACES += ["trainer.profiler.dirpath.", "trainer.profiler.filename."]


# Hydra's flags that are followed by a value
VALUED = ["--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c"]
VALUED += ["--experimental-rerun"]
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")  # what may follow --info


def split_flags(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags with their values, and the overrides, which Hydra accepts only in one uninterrupted group.

    >>> split_flags(["seed=0", "--config-dir", "my=settings", "-m", "latent_dim=8", "--info"])
    (['--config-dir', 'my=settings', '-m', '--info'], ['seed=0', 'latent_dim=8'])
    """
    flags: list[str] = []
    overrides: list[str] = []
    before = ""
    for argument in arguments:
        is_value = before in VALUED or (before in ("--info", "-i") and argument in INFO)
        (flags if is_value or argument.startswith("-") else overrides).append(argument)
        before = "" if is_value else argument
    return flags, overrides


def read_value(override: str) -> Any:
    """The value of an override, without its quotes; None if it has several, raw text if Hydra cannot read it."""
    try:
        (parsed,) = OverridesParser.create().parse_overrides([override])
    except HydraException:
        return override.partition("=")[2]
    if parsed.is_sweep_override():
        return None
    return parsed.value() if isinstance(parsed.value(), Mapping | list) else str(parsed.value())


def quote(value: Any) -> str:
    r"""A plain value as Hydra's command line takes it.

    >>> quote(["it's", 1, None])
    "['it\\'s',1,null]"
    """
    if isinstance(value, list):
        return f"[{','.join(map(quote, value))}]"
    if isinstance(value, str):
        # a backslash stands for itself, but before a quote and at the end
        return "'" + re.sub(r"(\\*)('|$)", lambda match: 2 * match[1] + ("\\'" if match[2] else ""), value) + "'"
    return str(value) if isinstance(value, float) else json.dumps(value)


def shell_override(key: str, path: Path) -> str:
    """An override that a user can type: ``path`` is quoted for Hydra, and for the shell, where that is needed."""
    name = str(path)
    is_word = re.fullmatch(r"[\w./+-]+", name, re.ASCII) and read_value(f"{key}={name}") == name
    return f"{key}={name}" if is_word else shlex.quote(f"{key}={quote(name)}")


def is_plain(value: Any) -> bool:
    """Whether a value is a number, a text without references, true, false, null, or a list of such."""
    if isinstance(value, list):
        return all(map(is_plain, value))
    return not builds_or_refers(value) and (value is None or isinstance(value, bool | int | float | str))


def is_harmless(override: str) -> bool:
    """Whether an override, maybe a stranger's, only sets a value or chooses a yaml of conf/.

    It may build no class, refer to nothing, choose no file elsewhere, set nothing of Hydra's, and move no output.
    """
    try:
        (parsed,) = OverridesParser.create().parse_overrides([override])
        key, value = (parsed.key_or_group or "").removeprefix("/"), parsed.value()
    except HydraException:
        return False
    is_group = "." not in key
    leads_elsewhere = is_group and isinstance(value, str | list) and ".." in str(value)
    is_hydras = "hydra" in f"{key}/{parsed.package or ''}".replace(".", "/").split("/")
    is_tree = isinstance(value, dict)
    sets_values = not is_group or is_tree  # and does not choose a yaml
    moves = sets_values and any(
        f"{key}.".startswith(place) or (is_tree and place.startswith(f"{key}.")) for place in PLACES
    )
    return not (is_hydras or leads_elsewhere or moves or "_target_" in key or builds_or_refers(value))


def builds_or_refers(value: Any) -> bool:
    """Whether a value names a class to be built, or refers to anything."""
    if isinstance(value, dict):
        return any("_target_" in str(key) or "${" in str(key) or builds_or_refers(each) for key, each in value.items())
    if isinstance(value, list):
        return any(map(builds_or_refers, value))
    return "${" in str(value)
