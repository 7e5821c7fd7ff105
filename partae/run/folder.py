"""How a job begins, ends, and is recognised: by the files in its folder, so that any process can tell, now or later.

============================  ========================================================================================
``.hydra/``                   what was asked for: written when a job begins, and never by a job of other settings
``checkpoints/``              how far it came
``metrics.json``              it is finished: its measures and ``wall_time``, written last
``error.txt``                 it failed when it was last tried: a traceback, or one message
============================  ========================================================================================
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from hydra.conf import HydraConf
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

from partae.checks import InputError
from partae.data.source import fingerprint_of
from partae.files import checkpoints, no_link, read_json, read_yaml, write_bytes, write_json
from partae.run.command_line import quoted

# what may differ between a run and the same run, gone on with: where it runs and what is shown of it
IGNORED = {"name", "metric", "resume", "fail_fast", "quiet", "trainer.accelerator", "trainer.enable_progress_bar"}
IGNORED |= {"data.source.root", "data.source.download", "callbacks.progress.refresh_rate"}
FINGERPRINT = "data.fingerprint"  # what a run keeps beside its settings: the same images may lie elsewhere


def begin(cfg: DictConfig, hydra: HydraConf, folder: Path) -> None:
    """Take ``folder`` for the job that ``cfg`` composes: what it was asked goes into ``.hydra/``, an old error away.

    Args:
        cfg: the composed configuration, without Hydra's own.
        hydra: Hydra's own.
        folder: of the job.

    Raises:
        InputError: if ``folder`` holds a run of other settings, and the message names the keys; or a symbolic link
            where the job writes.
    """
    kept = folder / "checkpoints"
    for path in (folder / ".hydra", folder / "hparams.yaml", kept, *kept.rglob("*")):
        no_link(path)
    try:
        now = settings(cfg)
    except Exception:
        if has_run(folder):
            raise
        now = cast("dict[str, Any]", OmegaConf.to_container(cfg))  # whatever it is, the training meets it, and says so
    if keys := changed(cfg, now, folder):
        what = f"{folder} holds a run of other settings ({', '.join(keys)})"
        if cfg.resume:
            raise InputError(f"{what}: resume= goes on with a run as it was; for other settings, start a new run")
        other = "hydra.run.dir=" if is_alone(hydra) else "name="
        raise InputError(f"{what}: choose another folder by {other}, or remove this one")
    if not is_first_process():
        return
    (folder / "error.txt").unlink(missing_ok=True)
    if has_run(folder) and is_alone(hydra):
        return  # a sweep's job that is gone on with by itself remains the sweep's
    own = OmegaConf.create({"hydra": OmegaConf.to_container(hydra, resolve=False)})
    for name, content in (("config", OmegaConf.create(now)), ("overrides", overrides(cfg, hydra)), ("hydra", own)):
        write_bytes(folder / ".hydra" / f"{name}.yaml", OmegaConf.to_yaml(content).encode())


def settings(cfg: DictConfig) -> dict[str, Any]:
    """All that makes a run what it is, as plain data: values in place of references, and which images it sees.

    References to whole groups stay as they are; so do those to Hydra's own values, which are others where a run was
    moved, and those of the logger, which may be secrets.
    """
    written = cast("dict[str, Any]", OmegaConf.to_container(cfg))
    found = {key: value if key == "logger" else _resolved(value, cfg, key) for key, value in written.items()}
    if source := cfg.data.get("source"):  # a user's own data module may have none
        fingerprint = fingerprint_of(instantiate(source))
        found["data"] |= {} if fingerprint is None else {"fingerprint": fingerprint}
    return found


def _resolved(written: Any, parent: Any, key: Any) -> Any:
    """What is ``written`` at a key of ``parent``, a configuration, with values in place of references."""
    if isinstance(written, dict):
        return {name: _resolved(value, parent[key], name) for name, value in written.items()}
    if isinstance(written, list):
        return [_resolved(value, parent[key], place) for place, value in enumerate(written)]
    if not (isinstance(written, str) and "${" in written) or "${hydra:" in written:
        return written
    value = _plain(parent[key])
    return written if isinstance(value, DictConfig) else value


def _plain(value: Any) -> Any:
    """A value of a configuration; a list as Python's own."""
    return OmegaConf.to_container(value, resolve=True) if isinstance(value, ListConfig) else value


def overrides(cfg: DictConfig, hydra: HydraConf) -> list[str]:
    """What a job was given, but ``resume=``: values in place of references, as in its `settings`."""
    texts = cast("list[str]", OmegaConf.to_container(cast("Any", hydra.overrides.task), resolve=False))
    typed = [text.replace("\\${", "${") for text in texts]  # Hydra escapes them
    return [_with_value(text, cfg) for text in typed if not text.startswith("resume=")]


def _with_value(override: str, cfg: DictConfig) -> str:
    """An override with the value that it had, where it refers to another; but for those that `settings` keeps."""
    key, _, value = override.partition("=")
    kept = "${hydra:" in value or key.lstrip("+").startswith("logger")
    found = None if kept or "${" not in value else _plain(OmegaConf.select(cfg, key.lstrip("+")))
    return override if found is None or isinstance(found, DictConfig) else f"{key}={quoted(found)}"


def changed(cfg: DictConfig, now: Mapping[str, Any], folder: Path) -> list[str]:
    """What differs between a job and the run in ``folder``, as ``key: before -> now``; nothing without a run.

    Args:
        cfg: of the job.
        now: its `settings`.
        folder: of the run.
    """
    file = folder / ".hydra" / "config.yaml"
    if not (file.exists() and has_run(folder)):
        return []
    before, after = _flat(read_yaml(file)), _flat(now)
    written = _flat(OmegaConf.to_container(cfg))  # with its references, which earlier versions kept
    if FINGERPRINT not in before:
        after.pop(FINGERPRINT, None)  # of an earlier version, which kept none
    keys = [key for key in {**before, **after} if before.get(key) not in (after.get(key), written.get(key))]
    return [
        "data.source: its images were added to, removed or changed"
        if key == FINGERPRINT
        else f"{key}: {before.get(key)} -> {after.get(key)}"
        for key in keys
        if key not in IGNORED
    ]


def has_run(folder: Path) -> bool:
    """Whether ``folder`` holds what a run has trained, in part or whole."""
    return is_finished(folder) or bool(checkpoints(folder))


def is_alone(hydra: HydraConf) -> bool:
    """Whether Hydra runs this one job, and not a sweep."""
    return hydra.mode != RunMode.MULTIRUN


def is_on_one_device(trainer: DictConfig) -> bool:
    """Whether the trainer that ``trainer`` describes has one device, on any machine."""
    devices = trainer.get("devices", "auto")
    one = devices in (1, "1") or (isinstance(devices, ListConfig) and len(devices) == 1)
    return one and not str(trainer.get("strategy")).startswith("ddp")


def is_grid(hydra: HydraConf) -> bool:
    """Whether jobs are all that the command line spells out, as Hydra's own sweeper takes it, and not a search."""
    return str(hydra.sweeper["_target_"]).endswith(".BasicSweeper")


def finish(folder: Path, measures: Mapping[str, float], seconds: float) -> None:
    """Say that the job in ``folder`` is finished, with what it measured and the ``seconds`` that it took in all."""
    write_json(folder / "metrics.json", {**measures, "wall_time": seconds})


def is_finished(folder: Path) -> bool:
    """Whether the job in ``folder`` is finished."""
    return (folder / "metrics.json").exists()


def measures_of(folder: Path) -> dict[str, float]:
    """The measures of the finished job in ``folder``, and its ``wall_time`` in seconds."""
    return read_json(folder / "metrics.json")


def fail(folder: Path, error: BaseException) -> None:
    """Say that the job in ``folder`` failed, and of what: a message where the user can mend it, else a traceback."""
    plain = isinstance(error, InputError | CompactHydraException)
    lines = [str(error).removeprefix("error: ")] if plain else traceback.format_exception(error)
    write_bytes(folder / "error.txt", ("".join(lines).strip() + "\n").encode())


def failure(folder: Path) -> str:
    """The last line of the error of the job in ``folder``; empty if it did not fail when it was last tried."""
    file = folder / "error.txt"
    return file.read_text(encoding="utf-8").splitlines()[-1] if file.exists() else ""


def status(folder: Path) -> str:
    """How the job in ``folder`` stands: "failed" when last tried, else "finished" or "unfinished"."""
    if failure(folder):
        return "failed"
    return "finished" if is_finished(folder) else "unfinished"


def any_failed(folder: Path) -> bool:
    """Whether a job of the sweep in ``folder`` has failed since the sweep was started."""
    return any(folder.glob("*/error.txt"))


def is_first_process() -> bool:
    """Whether this is the one of a job's processes that writes and prints."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested dicts by their dotted keys; an empty dict is a leaf."""
    if not (isinstance(tree, dict) and tree):
        return {prefix.removesuffix("."): tree}
    return {key: leaf for name, child in tree.items() for key, leaf in _flat(child, f"{prefix}{name}.").items()}
