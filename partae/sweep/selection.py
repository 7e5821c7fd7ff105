"""The models that ``ckpt=`` of evaluate.py names, and where their measures and figures go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig, ListConfig

from partae.checks import InputError
from partae.data import FashionMNIST
from partae.files import no_link, read_yaml, run_folder, run_folders
from partae.report.published import published_measures
from partae.saving.loading import checkpoint_file
from partae.sweep.rows import names, read_sweep


class Selection(NamedTuple):
    """Some checkpoints.

    Args:
        files: by the names of their models.
        folder: of the figures.
        sweep: the folder of the sweep whose runs they are; None if they are not those of one sweep.
    """

    files: dict[str, Path]
    folder: Path
    sweep: Path | None = None


def select(ckpt: object) -> Selection:
    """The checkpoints that ``ckpt`` names: one, the folder of a run or of a sweep, a list of such, or names and such.

    Raises:
        InputError: if there is nothing there.
    """
    if isinstance(ckpt, ListConfig | DictConfig):
        if not ckpt:
            raise InputError(f"ckpt must name at least one checkpoint or run folder; got {ckpt}")
        named = ckpt if isinstance(ckpt, DictConfig) else {path: path for path in ckpt}
        files = {str(name): checkpoint_file(str(path)) for name, path in named.items()}
        return Selection(files, Path("outputs/evaluation"))
    path = Path(str(ckpt))  # a folder may be named by a number
    if runs := run_folders(path):
        rows = read_sweep(path)
        known = {row["folder"]: name for row, name in zip(rows, names(rows), strict=True)}
        files = {known.get(run.name) or run.name: checkpoint_file(run) for run in runs}
        return Selection(files, no_link(path / "evaluation"), path)
    file = checkpoint_file(path)
    return Selection({"model": file}, evaluation_folder(file))


def evaluation_folder(file: Path) -> Path:
    """Where the measures of a checkpoint go: ``evaluation`` for the last one of a run, else a folder of its own name.

    Raises:
        InputError: if it is a symbolic link, since an untrusted run's folder could redirect the output.
    """
    return no_link(run_folder(file) / ("evaluation" if file.stem == "last" else f"evaluation_{file.stem}"))


def read_published(file: Path, measures: Mapping[str, float], source: object) -> dict[str, float]:
    """The published measures of the model in a checkpoint, by the configuration in its run's folder; empty if none.

    Args:
        file: the checkpoint.
        measures: of the model. The published accuracy is shown beside that of its own protocol only, which chooses C.
        source: of the images that it was measured on: figures were published for Fashion-MNIST only.
    """
    config = run_folder(file) / ".hydra" / "config.yaml"
    known = published_measures(read_yaml(config)) if config.exists() and type(source) is FashionMNIST else {}
    return {name: value for name, value in known.items() if name != "svm_accuracy" or "test/svm_c" in measures}
