"""The measures of a model and the settings behind them, kept from one evaluation to the next."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from partae.checks import InputError
from partae.files import read_json, subtree, write_bytes, write_json

MEASURES, SETTINGS = "metrics.json", "measured_by.json"
Settings = Mapping[str, Any]


def identify(file: Path, data: DictConfig, fingerprint: str | None) -> dict[str, Any]:
    """What is the same for two evaluations of one model on the same images.

    Args:
        file: the checkpoint.
        data: their configuration, with how they are split.
        fingerprint: of the images that its source has now; None where its arguments say all.
    """
    source = dict(OmegaConf.to_container(data.source, resolve=True))  # type: ignore[arg-type]
    places = {"root", "download"} if fingerprint or "download" in source else set()
    return {
        "model": hashlib.sha256(file.read_bytes()).hexdigest(),
        "source": {key: value for key, value in source.items() if key not in places},
        "images": fingerprint,
        "split": [data.get("seed"), data.get("val_size")],  # which training images gains and classifiers are fitted to
    }


def keep_measures(folder: Path, of: Settings, found: Mapping[str, tuple[float, Settings]]) -> dict[str, float]:
    """Write measures into ``folder`` beside those of earlier evaluations; returns all that stand there now.

    Earlier measures of another model, of other images or by other settings are dropped, so that all kept measures
    compare: they share one protocol of the SVM and one setting of ``bias``.

    Args:
        folder: of the evaluation.
        of: the model and the images, by `identify`.
        found: each measure and the settings that it was measured by.
    """
    now = {name: value for _, settings in found.values() for name, value in settings.items()}
    every: dict[str, float] = {}
    by: dict[str, Settings] = {}
    with suppress(InputError, OSError):  # no earlier evaluation, or its files are damaged
        earlier = read_json(folder / SETTINGS)
        if earlier.get("of") == of:
            by = {key: each for key, each in subtree(earlier, "by").items() if _agrees(each, now)}
            values = read_json(folder / MEASURES)
            every = {key: values[key] for key in by if isinstance(values.get(key), int | float)}
    every |= {key: value for key, (value, _) in found.items()}
    by |= {key: settings for key, (_, settings) in found.items()}
    write_json(folder / MEASURES, every)
    text = json.dumps({"of": of, "by": {key: by[key] for key in every}}, indent=2)
    write_bytes(folder / SETTINGS, f"{text}\n".encode())
    return every


def _agrees(settings: object, now: Settings) -> bool:
    """Whether settings from a file are those of now where both are known."""
    return isinstance(settings, Mapping) and all(now.get(name, value) == value for name, value in settings.items())
