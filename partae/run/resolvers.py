"""The values of the ``${partae.…}`` references in conf/: the folders of runs and sweeps, and the shape of images."""

from __future__ import annotations

import itertools
import re
import zlib
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf

_sources: dict[str, Any] = {}  # the last one that was built, by its description


def job_folder(overrides: str) -> str:
    """A job's folder, from its overrides: one folder name that needs no quotes on Hydra's command line.

    Overrides that such a word cannot hold end with a checksum, so that no two of them share a folder.

    >>> job_folder("experiment/table_1@_global_-none__sparsity.beta-0.1")
    'table_1-none__sparsity.beta-0.1'
    >>> job_folder("data.source.root-/data")
    'data.source.root-_data-4e63c28e'
    """
    short = re.sub(r"(^|__)(?:\w+/)*(\w+)@\w+-", r"\1\2-", overrides)
    word = re.sub(r"[^\w.+-]", "_", short, flags=re.ASCII)[:200]
    return (word or "job") if word == short else f"{word}-{zlib.crc32(short.encode()):08x}"


def sweep_folder(name: object, now: str) -> str:
    """The folder of a sweep: that of its name if it has one, so that the same command finds it again; else a new one.

    >>> sweep_folder("figure_8", "2024-05-01_12-00-00")
    'outputs/figure_8'
    """
    return new_folder(name, now) if name == "default" else f"outputs/{name}"


def new_folder(name: object, now: str) -> str:
    """A new folder, created at once: commands of the same second get different ones. ``name`` may be a number."""
    folder = first = Path("outputs", str(name), now)
    first.parent.mkdir(parents=True, exist_ok=True)  # which fails where a link leads nowhere
    for count in itertools.count(2):
        try:
            folder.mkdir()
            break
        except FileExistsError:
            folder = first.with_name(f"{now}_{count}")
    return str(folder)


def file_name(path: str) -> str:
    """The name of a file or folder, by which loggers call a run.

    >>> file_name("outputs/figure_8/sparsity.p-0.1")
    'sparsity.p-0.1'
    """
    return Path(path).name


def image_shape(source: DictConfig) -> ListConfig:
    """The shape [C, H, W] of the images of the source that ``source`` describes, as ``conf/data`` has it.

    >>> image_shape(DictConfig({"_target_": "partae.data.Bars", "size": 5}))
    [1, 5, 5]
    """
    return ListConfig(list(build_source(source).image_shape))


def build_source(source: DictConfig) -> Any:
    """Build the source of images that ``source`` describes; repeated calls with one description build it once."""
    described = OmegaConf.to_yaml(source, resolve=True)
    if described not in _sources:
        built = instantiate(source)
        _sources.clear()
        _sources[described] = built
    return _sources[described]


OmegaConf.register_new_resolver("partae.file_name", file_name, replace=True)
OmegaConf.register_new_resolver("partae.image_shape", image_shape, replace=True, use_cache=True)
OmegaConf.register_new_resolver("partae.job_folder", job_folder, replace=True)
OmegaConf.register_new_resolver("partae.new_folder", new_folder, replace=True, use_cache=True)
OmegaConf.register_new_resolver("partae.sweep_folder", sweep_folder, replace=True, use_cache=True)
