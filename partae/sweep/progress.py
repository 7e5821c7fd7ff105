"""How far a sweep has come, and how its jobs share the machine."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, cast

from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from joblib import cpu_count
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from partae.files import read_yaml
from partae.run.run_folder import is_grid, status
from partae.sweep.rows import write_sweep

THREADS = "OMP_NUM_THREADS"  # processes that are started later read it


class Progress(Callback):
    """After each job of a sweep, writes ``sweep.csv`` and says how many jobs are done, and how long the others take.

    Jobs that were finished before are done at once, and say nothing of the pace. Hydra hands this callback to the
    process of each job, which finds the other jobs by the files in their folders. Another command may fill the same
    folder at the same time: its jobs do not count, unless the sweeper searches.

    Attributes:
        choices: the overrides of each key, of which each job has one; empty where only the sweeper knows them.
        total: the number of jobs; None where only the sweeper knows it.
        started: when the sweep was, in seconds since the epoch; 0 outside of a sweep.
    """

    choices: Sequence[Collection[str]] = ()
    total: int | None = None
    started: float = 0.0

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self.choices = choices_of(config.hydra)
        self.total = (
            math.prod(map(len, self.choices)) if is_grid(config.hydra) else config.hydra.sweeper.get("n_trials")
        )
        share_cores(config.hydra, self.total)
        self.started = time.time()

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        if self.started:
            folder = Path(config.hydra.runtime.output_dir)
            write_sweep(folder.parent)
            if self._is_done(folder):
                print(self.line(folder.parent, time.time()), flush=True)

    def line(self, folder: Path, now: float) -> str:
        """What is printed of the sweep in ``folder``, ``now`` in seconds since the epoch."""
        done = [job for job in folder.iterdir() if self._is_done(job)]
        trained = [job for job in done if self._is_new(job / "metrics.json") or self._is_new(job / "error.txt")]
        begun = [file.stat().st_mtime for job in trained if (file := job / ".hydra" / "hydra.yaml").exists()]
        line = f"{len(done)}{'' if self.total is None else f' of {self.total}'} jobs done"
        if not begun or self.total is None or len(done) >= self.total:
            return line
        # since the first of them began, and not the sweep, which may have trained a stack before
        left = (now - min(begun)) / len(trained) * (self.total - len(done))
        return f"{line}, about {tqdm.format_interval(left)} left"

    def _is_done(self, job: Path) -> bool:
        """Whether a job ended in this sweep, and not only in an earlier one in the same folder."""
        begun = self._is_new(job / ".hydra" / "hydra.yaml") or self._is_new(job / "error.txt")
        return begun and status(job) != "unfinished" and self._is_own(job)

    def _is_own(self, job: Path) -> bool:
        """Whether a job is of this command, by its overrides; its folder has values where they have references."""
        file = job / ".hydra" / "overrides.yaml"
        overrides = set(read_yaml(file, list)) if file.exists() else None
        plain = (each for each in self.choices if "${" not in "".join(each))
        return overrides is None or all(overrides.intersection(each) for each in plain)

    def _is_new(self, file: Path) -> bool:
        return file.exists() and file.stat().st_mtime >= self.started


def choices_of(hydra: HydraConf) -> list[list[str]]:
    """The overrides of each key that ``hydra``, the configuration of a multirun, is given; none if it searches."""
    if not is_grid(hydra):
        return []
    params = [f"{key}={value}" for key, value in (hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())  # which knows the choices of a glob(*)
    given = cast("list[str]", OmegaConf.to_container(cast("Any", hydra.overrides.task), resolve=False))
    overrides = parser.parse_overrides([*params, *given])
    last = {each.get_key_element(): each for each in overrides}  # if a key is given twice
    values = {
        key: each.sweep_string_iterator() if each.is_sweep_override() else [each.get_value_element_as_str()]
        for key, each in last.items()
    }
    return [[f"{key}={value}" for value in several] for key, several in values.items()]


def share_cores(hydra: HydraConf, jobs: int | None) -> None:
    """Give each of so many ``jobs`` its share of the cores, at least one, if the launcher starts all of them at once.

    With more threads than cores, jobs spend most of their time waiting. joblib and Ray share the cores themselves. A
    value of `THREADS` that the user has set is kept.
    """
    is_local = str(hydra.launcher["_target_"]).endswith("submitit_launcher.LocalLauncher")
    if jobs and is_local and THREADS not in os.environ:
        at_once = min(jobs, hydra.sweeper.get("max_batch_size") or jobs)
        os.environ[THREADS] = str(max(1, cpu_count() // at_once))
