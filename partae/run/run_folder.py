"""How a job begins, ends, and stands: by the files in its folder, so that any process can tell, now or later.

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
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from partae.checks import InputError
from partae.files import SWEEP, checkpoints, no_link, read_json, write_bytes, write_json
from partae.run.messages import explain
from partae.run.settings import differences, resolve_overrides, resolve_settings

# what a job writes in its folder, by any name that is known before
WRITTEN = (".hydra", "checkpoints", "csv", "hparams.yaml", "profile.txt", "wandb")


def begin(cfg: DictConfig, hydra: HydraConf, folder: Path) -> None:
    """Take ``folder`` for the job that ``cfg`` composes: write its settings into ``.hydra/``, delete an old error.

    Args:
        cfg: the composed configuration, without Hydra's own.
        hydra: Hydra's own.
        folder: of the job.

    Raises:
        InputError: if ``folder`` holds a run of other settings, and the message names the keys; or a symbolic link
            where the job writes.
    """
    for path in (*(folder / name for name in WRITTEN), *(folder / "checkpoints").rglob("*")):
        no_link(path)
    if is_alone(hydra) and (folder / SWEEP).exists():
        raise InputError(f"{folder} is the folder of a sweep: choose another for this run by hydra.run.dir=")
    has_run = is_finished(folder) or bool(checkpoints(folder))
    try:
        settings = resolve_settings(cfg)
    except Exception:
        if has_run:
            raise
        settings = cast("dict[str, Any]", OmegaConf.to_container(cfg))  # the training meets the error, and reports it
    file = folder / ".hydra" / "config.yaml"
    if has_run and file.exists() and (keys := differences(settings, file)):
        raise InputError(f"{folder} holds a run of other settings ({', '.join(keys)}): {_advice(cfg, hydra)}")
    if not is_first_process():
        return
    (folder / "error.txt").unlink(missing_ok=True)
    if has_run and is_alone(hydra):
        return  # a sweep's job that is resumed by itself remains the sweep's
    own = OmegaConf.create({"hydra": OmegaConf.to_container(hydra, resolve=False)})
    overrides = resolve_overrides(cfg, hydra)
    for name, content in (("config", OmegaConf.create(settings)), ("overrides", overrides), ("hydra", own)):
        write_bytes(folder / ".hydra" / f"{name}.yaml", OmegaConf.to_yaml(content).encode())


def _advice(cfg: DictConfig, hydra: HydraConf) -> str:
    """What a user can do about a folder that holds another run."""
    if cfg.resume:
        return "resume= keeps the settings of a run; for others, start a new run"
    return f"choose another folder by {'hydra.run.dir=' if is_alone(hydra) else 'name='}, or remove this one"


def is_alone(hydra: HydraConf) -> bool:
    """Whether Hydra runs this one job, and not a sweep."""
    return hydra.mode != RunMode.MULTIRUN


def is_grid(hydra: HydraConf) -> bool:
    """Whether the command line spells out all jobs, as Hydra's own sweeper takes them, and nothing is searched for."""
    return str(hydra.sweeper["_target_"]).endswith(".BasicSweeper")


def is_on_one_device(trainer: DictConfig) -> bool:
    """Whether the trainer that ``trainer`` describes has one device, on any machine."""
    devices = trainer.get("devices", "auto")
    one = devices in (1, "1") or (isinstance(devices, ListConfig) and len(devices) == 1)
    return one and not str(trainer.get("strategy")).startswith("ddp")


def is_first_process() -> bool:
    """Whether this is the one of a job's processes that writes and prints."""
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def finish(folder: Path, measures: Mapping[str, float], seconds: float) -> None:
    """Mark the job in ``folder`` as finished, with its measures and the ``seconds`` that it took in all."""
    write_json(folder / "metrics.json", {**measures, "wall_time": seconds})


def is_finished(folder: Path) -> bool:
    """Whether the job in ``folder`` is finished."""
    return (folder / "metrics.json").exists()


def measures_of(folder: Path) -> dict[str, float]:
    """The measures of the finished job in ``folder``, and its ``wall_time`` in seconds."""
    return read_json(folder / "metrics.json")


def fail(folder: Path, error: Exception) -> None:
    """Mark the job in ``folder`` as failed: with a message where the user can mend the error, else a traceback."""
    text = explain(error, folder) or "".join(traceback.format_exception(error))
    write_bytes(folder / "error.txt", (text.strip() + "\n").encode())


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
