"""The settings of a run as plain data, and how they differ from those of the run that a folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from hydra.conf import HydraConf
from omegaconf import DictConfig, ListConfig, OmegaConf

from partae.data.source import fingerprint_of
from partae.files import read_yaml
from partae.run.overrides import quote
from partae.run.resolvers import build_source

# settings that a resumed run may change: they affect only where it runs and what it prints
IGNORED = {"name", "metric", "resume", "fail_fast", "quiet", "logger", "data.source.root", "data.source.download"}
IGNORED |= {"trainer.accelerator", "trainer.enable_progress_bar", "trainer.profiler"}
IGNORED |= {"callbacks.progress", "callbacks.hyperparameters"}
FINGERPRINT = "data.fingerprint"  # what a run keeps beside its settings: the same images may lie elsewhere


def resolve_settings(cfg: DictConfig) -> dict[str, Any]:
    """All that makes a run what it is, as plain data: values in place of references, and which images it sees.

    Three kinds of reference are kept: to whole groups, to Hydra's own values (they change when a run is moved), and in
    the logger (they may be secrets).
    """
    written = cast("dict[str, Any]", OmegaConf.to_container(cfg))
    settings = {key: value if key == "logger" else _resolve(value, cfg, key) for key, value in written.items()}
    if source := cfg.data.get("source"):  # a user's own data module may have none
        fingerprint = fingerprint_of(build_source(source))
        settings["data"] |= {} if fingerprint is None else {"fingerprint": fingerprint}
    return settings


def _resolve(written: Any, parent: Any, key: Any) -> Any:
    """What is ``written`` at a key of ``parent``, a configuration, with values in place of references."""
    if isinstance(written, dict):
        return {name: _resolve(value, parent[key], name) for name, value in written.items()}
    if isinstance(written, list):
        return [_resolve(value, parent[key], place) for place, value in enumerate(written)]
    if not (isinstance(written, str) and "${" in written) or "${hydra:" in written:
        return written
    return _plain(parent[key], written)


def _plain(value: Any, written: str) -> Any:
    """The value of a reference as plain data; what is ``written``, if the value is a group."""
    if isinstance(value, DictConfig):
        return written
    return OmegaConf.to_container(value, resolve=True) if isinstance(value, ListConfig) else value


def resolve_overrides(cfg: DictConfig, hydra: HydraConf) -> list[str]:
    """The overrides of a job without ``resume=``, with the same values in place of references as its settings."""
    texts = cast("list[str]", OmegaConf.to_container(cast("Any", hydra.overrides.task), resolve=False))
    given = [text.replace("\\${", "${") for text in texts]  # Hydra escapes them
    return [_resolve_override(text, cfg) for text in given if not text.startswith("resume=")]


def _resolve_override(override: str, cfg: DictConfig) -> str:
    key, _, written = override.partition("=")
    name = key.lstrip("+")
    if "${" not in written or "${hydra:" in written or name.startswith("logger"):
        return override
    value = _plain(OmegaConf.select(cfg, name), written)
    return override if value in (None, written) else f"{key}={quote(value)}"


def differences(settings: Mapping[str, Any], file: Path) -> list[str]:
    """How a job differs from an earlier one, as ``key: before -> now``.

    Args:
        settings: of the job, resolved.
        file: the ``config.yaml`` of the earlier job.
    """
    before, now = _flatten(read_yaml(file)), _flatten(settings)
    if FINGERPRINT not in before:
        now.pop(FINGERPRINT, None)  # a source whose arguments say all keeps none
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return [
        "data.source: its images were added to, removed or changed"
        if key == FINGERPRINT
        else f"{key}: {before.get(key)} -> {now.get(key)}"
        for key in keys
        if not any(f"{key}.".startswith(f"{ignored}.") for ignored in IGNORED)
    ]


def _flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested dicts by their dotted keys; an empty dict is a leaf."""
    if not (isinstance(tree, dict) and tree):
        return {prefix.removesuffix("."): tree}
    return {key: leaf for name, child in tree.items() for key, leaf in _flatten(child, f"{prefix}{name}.").items()}
