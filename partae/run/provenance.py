"""How a run or a sweep was trained, in the words of its page."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

import partae
from partae.checks import InputError
from partae.files import SWEEP, read_json, read_yaml, subtree, write_bytes
from partae.run.hints import train_line
from partae.run.overrides import is_harmless

MACHINE = "machine.json"
PACKAGES = ("torch", "pytorch-lightning")
OWN_FOLDER = ("hydra.mode=", "hydra.run.dir=", "hydra.sweep.dir=")  # overrides that a repetition does without


def write_machine(folder: Path, device: torch.device) -> None:
    """Write the versions and the device of the training in ``folder``."""
    packages = {"partae": partae.__version__} | {package: version(package) for package in PACKAGES}
    versions = packages | {"Python": platform.python_version()}
    machine = {"versions": ", ".join(map(" ".join, versions.items())), "device": describe_device(device)}
    write_bytes(folder / ".hydra" / MACHINE, f"{json.dumps(machine, indent=2)}\n".encode())


def describe_device(device: torch.device) -> str:
    """The name of a GPU, or how many threads the CPU has."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"the CPU, threads: {torch.get_num_threads()}" if device.type == "cpu" else str(device)


def provenance_of_run(folder: Path) -> dict[str, str]:
    """How the run in ``folder`` was trained: the command, its settings in short, machine and time; and all settings.

    What the folder does not tell is left out. The command is left out, too, if it would build a class or refer to
    anything: the folder may be a stranger's.
    """
    found: dict[str, str] = {}
    with suppress(InputError, OSError):
        found |= _command(read_yaml(folder / ".hydra" / "overrides.yaml", list))
        found |= _own_settings(read_yaml(folder / ".hydra" / "hydra.yaml"))
    with suppress(InputError, OSError):
        config = read_yaml(folder / ".hydra" / "config.yaml")
        found |= _in_short(config) | _machine(folder)
        found["Settings"] = OmegaConf.to_yaml(OmegaConf.create(config))
    return found


def provenance_of_sweep(folder: Path, runs: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """How the sweep in ``folder`` was trained: its command, and what the provenances of its ``runs`` have in common."""
    found: dict[str, str] = {}
    with suppress(InputError, OSError):
        config = read_yaml(folder / SWEEP)
        overrides = subtree(config, "hydra.overrides")
        given = [str(text) for kind in ("task", "hydra") for text in overrides.get(kind, [])]
        found |= _command([text for text in given if not text.startswith(OWN_FOLDER)], "-m") | _own_settings(config)
    first, *others = runs or [{}]
    shared = dict(first)
    for each in others:
        shared = {key: value for key, value in shared.items() if each.get(key) == value}
    return found | {key: value for key, value in shared.items() if key not in ("Command", "Settings")}


def _command(overrides: Iterable[Any], *flags: str) -> dict[str, str]:
    given = [str(text) for text in overrides]
    is_safe = all(is_harmless(text) or text.startswith(("hydra/", "hydra.")) for text in given)
    return {"Command": train_line(*flags, *given)} if is_safe else {}


def _own_settings(config: Mapping[str, Any]) -> dict[str, str]:
    """A reminder of a folder of own settings, if there was one; not its name: a stranger's may have any code run."""
    sources = subtree(config, "hydra.runtime").get("config_sources")
    providers = [
        each.get("provider") for each in (sources if isinstance(sources, list) else ()) if isinstance(each, Mapping)
    ]
    return {"Own settings": "name their folder by --config-dir"} if "command-line" in providers else {}


def _in_short(config: Mapping[str, Any]) -> dict[str, str]:
    data, model, trainer = (subtree(config, key) for key in ("data", "model", "trainer"))
    source = subtree(data, "source")
    values = {
        "Data": f"{source.get('dataset') or _class(source)}, seed {data.get('seed')}",
        "Model": f"{_class(model)}, {config.get('latent_dim')} atoms, seed {config.get('seed')}",
    }
    if "estimator" not in model:  # an estimator is fitted in one go
        most = "up to " if subtree(config, "callbacks").get("early_stopping") else ""
        values["Training"] = f"{most}{trainer.get('max_epochs')} epochs, batches of {data.get('batch_size')} images"
    return {key: value for key, value in values.items() if "None" not in value}


def _class(settings: Mapping[str, Any]) -> str:
    return str(settings.get("_target_")).rpartition(".")[2]


def _machine(folder: Path) -> dict[str, str]:
    """Time, device and versions, where they are known."""
    found: dict[str, str] = {}
    with suppress(InputError, OSError):
        seconds = round(float(read_json(folder / "metrics.json")["wall_time"]))
        found["Time"] = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    with suppress(InputError, OSError):
        machine = read_json(folder / ".hydra" / MACHINE)
        found |= {key.capitalize(): str(machine[key]) for key in ("device", "versions") if key in machine}
    return found
