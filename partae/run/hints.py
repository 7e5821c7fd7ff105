"""Command lines that a user may type next."""

from __future__ import annotations

import itertools
import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from partae.files import checkpoints, read_yaml, subtree
from partae.run.overrides import is_harmless, shell_override, split_flags

INSTALLED = {"train.py": "partae-train", "evaluate.py": "partae-evaluate"}


def resume_line(folder: Path, overrides: Iterable[str] = ()) -> str:
    """The command that resumes the run in ``folder``, which was given ``overrides``."""
    trusted = [text for text in overrides if not is_harmless(text)]  # resume= takes these from the user only
    words = [*map(shlex.quote, _own_settings()), shell_override("resume", folder), *map(shlex.quote, trusted)]
    return " ".join([_command("train.py"), *words])


def train_line(*arguments: str) -> str:
    """The command that trains with these ``arguments``."""
    return f"{_command('train.py')} {shlex.join(arguments)}".rstrip()


def again_line(folder: Path) -> str:
    """The command that continues the sweep in ``folder``, which this command began."""
    flags, overrides = split_flags(sys.argv[1:])
    given = [each for each in (*flags, *overrides) if not each.startswith("hydra.sweep.dir=")]
    return f"{_command('train.py')} {shlex.join(given)} {shell_override('hydra.sweep.dir', folder)}"


def next_lines(folder: Path) -> list[str]:
    """The commands that show what the finished run in ``folder`` has written."""
    lines = [tensorboard_line(folder)] if any(folder.glob("events.*")) else []
    return [*lines, evaluate_line(folder)] if checkpoints(folder) else lines


def evaluate_line(folder: Path) -> str:
    """Evaluates the run in ``folder``; with ``trust=`` where its model has classes of a user's own.

    With ``--config-dir`` where the settings of its images are a user's own: its model needs no settings.
    """
    file = folder / ".hydra" / "config.yaml"
    config = read_yaml(file) if file.exists() else {}
    model = subtree(config, "model")
    saved = [config.get("encoder"), config.get("decoder"), model.get("encoder"), model.get("decoder")]
    packages = set(re.findall(r"'_target_': '(\w+)\.", str([*saved, {"_target_": model.get("_target_")}]), re.ASCII))
    own = ",".join(sorted(packages - {"partae", "torch"}))
    trust = f" 'trust=[{own}]'" if own else ""
    file, flags = folder / ".hydra" / "hydra.yaml", _own_settings()
    images = subtree(read_yaml(file), "hydra.runtime.choices").get("data") if flags and file.exists() else None
    is_own = images is not None and Path(flags[-1], "data", f"{images}.yaml").exists()
    place = f" {shlex.join(flags)}" if is_own else ""
    return f"{_command('evaluate.py')}{place}{trust} {shell_override('ckpt', folder)}"


def _own_settings() -> list[str]:
    """The flag ``--config-dir`` and its folder as this command was given them, if it was.

    They are not read from the run's folder: it may be a stranger's, and what is in such a folder of settings is run.
    """
    flags, _ = split_flags(sys.argv[1:])
    places = [value for flag, value in itertools.pairwise(flags) if flag in ("--config-dir", "-cd")]
    places += [flag.removeprefix("--config-dir=") for flag in flags if flag.startswith("--config-dir=")]
    return ["--config-dir", *places[-1:]] if places else []


def tensorboard_line(folder: Path) -> str:
    """Shows the run in ``folder`` in TensorBoard."""
    return f"tensorboard {shlex.quote(f'--logdir={folder}')}"


def _command(script: str) -> str:
    """How a user calls a script: as this one was called, from a clone or installed."""
    called = Path(sys.argv[0])
    return f"python {shlex.quote(str(called.with_name(script)))}" if called.name in INSTALLED else INSTALLED[script]
