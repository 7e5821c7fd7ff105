"""What has been measured of a model on some images, and by what settings: kept from one evaluation to the next."""

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


def subject(file: Path, data: DictConfig, fingerprint: str | None) -> dict[str, Any]:
    """What tells whether two evaluations are of one model on the same images.

    Args:
        file: the checkpoint.
        data: the configuration of the images.
        fingerprint: of the images that its source has now; None where its arguments say all.
    """
    source = dict(OmegaConf.to_container(data.source, resolve=True))  # type: ignore[arg-type]
    places = {"root", "download"} if fingerprint or "download" in source else set()
    return {
        "model": hashlib.sha256(file.read_bytes()).hexdigest(),
        "source": {key: value for key, value in source.items() if key not in places},
        "images": fingerprint,
    }


def record(folder: Path, of: Settings, measures: Mapping[str, float], by: Mapping[str, Settings]) -> dict[str, float]:
    """Write ``measures`` into ``folder`` beside those of earlier evaluations of the same; all of them.

    Args:
        folder: of the evaluation.
        of: its `subject`; measures of another one are dropped.
        measures: of now, which take the place of earlier ones.
        by: the settings that each of them was measured by. Earlier measures of other settings are dropped, so that
            those which stand together compare: no SVM by another protocol, no operator that left the bias alone.
    """
    now = {name: value for each in by.values() for name, value in each.items()}
    earlier: dict[str, float] = {}
    settings: dict[str, Settings] = {}
    with suppress(InputError, OSError):  # nothing, or damaged: it is written anew
        said = read_json(folder / SETTINGS)
        if said.get("of") == of:
            settings = {key: each for key, each in subtree(said, "by").items() if _agrees(each, now)}
            values = read_json(folder / MEASURES)
            earlier = {key: values[key] for key in settings if isinstance(values.get(key), int | float)}
    every = {**earlier, **measures}
    write_json(folder / MEASURES, every)
    said = {"of": of, "by": {key: {**settings, **by}[key] for key in every}}
    write_bytes(folder / SETTINGS, (json.dumps(said, indent=2) + "\n").encode())
    return every


def _agrees(settings: object, now: Settings) -> bool:
    """Whether settings, as a file says them, are those of now where both are known."""
    return isinstance(settings, Mapping) and all(now.get(name, value) == value for name, value in settings.items())
