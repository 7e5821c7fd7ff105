"""The models that ``ckpt=`` of evaluate.py stands for, and where what is found out about them goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from partae.checks import InputError
from partae.files import no_link, read_yaml, run_folder, run_folders
from partae.report.published import published_measures
from partae.saving.loading import checkpoint_file
from partae.sweep.rows import names, read_sweep


@dataclass(frozen=True)
class Chosen:
    """Some checkpoints.

    Args:
        files: by the names of their models.
        folder: for what is drawn of all of them.
        sweep: the folder of the sweep whose runs they are, if they are one's.
    """

    files: dict[str, Path]
    folder: Path
    sweep: Path | None = None


def chosen(ckpt: object) -> Chosen:
    """What ``ckpt`` names: a checkpoint, the folder of a run or of a sweep, a list of such, or names and such.

    Raises:
        InputError: if there is nothing there.
    """
    if isinstance(ckpt, ListConfig | DictConfig):
        if not ckpt:
            raise InputError(f"ckpt must name at least one checkpoint or run folder; got {ckpt}")
        named = ckpt if isinstance(ckpt, DictConfig) else {path: path for path in ckpt}
        files = {str(name): checkpoint_file(str(path)) for name, path in named.items()}
        return Chosen(files, Path("outputs/evaluation"))
    path = Path(str(ckpt))  # a folder may be named by a number
    if runs := run_folders(path):
        rows = read_sweep(path)
        known = {row["folder"]: name for row, name in zip(rows, names(rows), strict=True)}
        files = {known.get(run.name) or run.name: checkpoint_file(run) for run in runs}
        return Chosen(files, no_link(path / "evaluation"), path)
    file = checkpoint_file(path)
    return Chosen({"model": file}, evaluation_folder(file))


def evaluation_folder(file: Path) -> Path:
    """Where the measures of a checkpoint go: beside its run's last one, or under its own name.

    Raises:
        InputError: if it is a link, which a folder of a stranger's may have put there.
    """
    return no_link(run_folder(file) / ("evaluation" if file.stem == "last" else f"evaluation_{file.stem}"))


def published_beside(file: Path, measures: Mapping[str, float]) -> dict[str, float]:
    """The published measures of the model in a checkpoint, by what its run folder says of it; empty if none.

    Args:
        file: the checkpoint.
        measures: of the model; the published accuracy stands beside that of its own protocol only, which chooses C.
    """
    config = run_folder(file) / ".hydra" / "config.yaml"
    known = published_measures(read_yaml(config)) if config.exists() else {}
    return {name: value for name, value in known.items() if name != "svm_accuracy" or "test/svm_c" in measures}
