"""One job of a command: begun, gone on with, or skipped; alone or in a sweep, where its failure is its own."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig

from partae.checks import InputError
from partae.interruption import end_in_order, saying
from partae.sweep import jobs
from partae.sweep.messages import explained
from partae.sweep.rows import write_sweep

# Lightning 2.6 asks torch in a way that torch 2.14 would rather not be asked; each job's process passes here
warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")

Train = Callable[[DictConfig, Path], dict[str, float]]


def run_job(train: Train, cfg: DictConfig, folder: Path) -> dict[str, float]:
    """Train what ``cfg`` composes in ``folder``, unless that is done; the measures.

    In a sweep an error does not reach the launcher, which would stop there: it is written down for the summary, and the
    job has no measures. After one, with ``fail_fast=true``, no other job starts.
    """
    hydra = HydraConfig.get()
    end_in_order()
    if jobs.is_alone(hydra):
        with explained(), saying(f"Interrupted. Go on with\n\n  {resume_line(folder)}\n"):
            return _measures(train, cfg, hydra, folder)
    if cfg.fail_fast and jobs.any_failed(folder.parent):
        return {}
    try:
        with explained():
            return _measures(train, cfg, hydra, folder)
    except Exception as error:
        jobs.fail(folder, error)
        print(f"{folder.name} failed: {jobs.failure(folder)}", file=sys.stderr)
        return {}
    finally:
        write_sweep(folder.parent)


def resume(arguments: list[str]) -> list[str]:
    """The command line that ``resume=<run folder>`` stands for: the folder's own, into the same folder.

    Args:
        arguments: of the command line; without ``resume=`` they are returned as they are.

    Raises:
        SystemExit: if the folder holds no run; the message is printed.
    """
    folders = [Path(argument.removeprefix("resume=")) for argument in arguments if argument.startswith("resume=")]
    if not folders:
        return arguments
    (folder,) = folders[-1:]
    file = folder / ".hydra" / "overrides.yaml"
    if (folder / "multirun.yaml").exists():
        _refuse(f"resume={folder} is a sweep: it goes on by the same command again, which skips what is finished")
    if not file.exists():
        _refuse(f"resume={folder} is not the folder of a run: it has no {file.relative_to(folder)}")
    others = [argument for argument in arguments if not argument.startswith("resume=")]
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return [*_plain_overrides(file), *others, f"hydra.run.dir='{quoted}'"]


def _plain_overrides(file: Path) -> list[str]:
    """The overrides of a run's folder, maybe a stranger's: values, and choices of conf/, but nothing that acts."""
    try:
        found = yaml.safe_load(file.read_text())
    except yaml.YAMLError:
        found = None
    if not (isinstance(found, list) and all(isinstance(text, str) for text in found)):
        _refuse(f"{file} must be a list of overrides")
    parser = OverridesParser.create()
    for text in found:
        try:
            (override,) = parser.parse_overrides([text])
            group, value = (override.key_or_group or "").removeprefix("/"), override.value()
        except HydraException:
            _refuse(f"{file} holds {text!r}, which is no override")
        chosen = "." not in group and isinstance(value, str | list) and ".." in str(value)
        where = f"{group}/{override.package or ''}".replace(".", "/").split("/")
        if "hydra" in where or chosen or "_target_" in group or _acts(value):
            _refuse(
                f"{file} holds {text!r}, which could run what its author likes: if you trust it, take it out of "
                "that file and type it behind resume="
            )
    return found


def _acts(value: Any) -> bool:
    """Whether a value of an override names a class to be built, or refers to anything."""
    if isinstance(value, dict):
        return any("_target_" in str(key) or _acts(str(key)) or _acts(each) for key, each in value.items())
    if isinstance(value, list):
        return any(map(_acts, value))
    return "${" in str(value)


def _refuse(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(1)


def resume_line(folder: Path) -> str:
    """What a user types to go on with the run in ``folder``."""
    command = "python train.py" if Path(sys.argv[0]).name == "train.py" else "partae-train"
    return f"{command} resume={shlex.quote(str(folder))}"


def _measures(train: Train, cfg: DictConfig, hydra: HydraConf, folder: Path) -> dict[str, float]:
    if not jobs.is_alone(hydra) and str(cfg.trainer.get("strategy")).startswith("ddp"):
        raise InputError("trainer=ddp trains one model on several devices, not a sweep: leave out -m, or trainer=ddp")
    unmeasured = not cfg.data.get("val_size", 1) and str(cfg.metric).startswith("val/")
    if unmeasured and not jobs.is_grid(hydra):
        raise InputError(f"a search for the best metric={cfg.metric} needs images for it: set data.val_size above 0")
    jobs.begin(cfg, hydra, folder)
    measures = jobs.measures_of(folder) if jobs.is_finished(folder) else train(cfg, folder)
    if cfg.metric not in measures and not unmeasured:
        raise InputError(f"metric must be one of {', '.join(measures)}; got {cfg.metric!r}")
    return measures
