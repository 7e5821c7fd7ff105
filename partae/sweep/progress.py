"""How far a sweep has come."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from tqdm import tqdm

from partae.run.folder import is_grid, status
from partae.sweep.cores import share_out_cores


class Progress(Callback):
    """Says after each job of a sweep how many are done, and how long the others take at the pace so far.

    Jobs that were finished before are done at once, and say nothing of the pace. Hydra hands this callback to the
    process of each job, which finds the other jobs by the files in their folders.

    Attributes:
        total: the number of jobs; None where only the sweeper knows it.
        started: when the sweep was, in seconds since the epoch.
    """

    total: int | None = None
    started: float = 0.0

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self.total = number_of_jobs(config.hydra)
        share_out_cores(config.hydra, self.total)
        self.started = time.time()

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        folder = Path(config.hydra.runtime.output_dir)
        if self.started and self._is_done(folder):
            print(self.line(folder.parent, time.time()), flush=True)

    def line(self, folder: Path, now: float) -> str:
        """What there is to say of the sweep in ``folder``, ``now`` in seconds since the epoch."""
        done = [job for job in folder.iterdir() if self._is_done(job)]
        trained = [job for job in done if self._is_new(job / "metrics.json") or self._is_new(job / "error.txt")]
        begun = [file.stat().st_mtime for job in trained if (file := job / ".hydra" / "hydra.yaml").exists()]
        of = "" if self.total is None else f" of {self.total}"
        line = f"{len(done)}{of} jobs done"
        if not begun or self.total is None or len(done) >= self.total:
            return line
        # since the first of them, not the sweep, began: a stack is trained before
        left = (now - min(begun)) / len(trained) * (self.total - len(done))
        return f"{line}, about {tqdm.format_interval(left)} left"

    def _is_done(self, job: Path) -> bool:
        """Whether a job ended, of this sweep and not only of an earlier one in the same folder."""
        begun = self._is_new(job / ".hydra" / "hydra.yaml") or self._is_new(job / "error.txt")
        return begun and status(job) != "unfinished"

    def _is_new(self, file: Path) -> bool:
        return file.exists() and file.stat().st_mtime >= self.started


def number_of_jobs(hydra: HydraConf) -> int | None:
    """How many jobs Hydra's own ``hydra`` asks for; None of a sweeper that does not say.

    Args:
        hydra: of a multirun, before it is split into jobs.
    """
    if not is_grid(hydra):
        return hydra.sweeper.get("n_trials")
    params = [f"{key}={value}" for key, value in (hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())  # which knows what glob(*) stands for
    overrides = parser.parse_overrides([*params, *hydra.overrides.task])
    swept = {each.get_key_element(): each for each in overrides}  # of a key given twice, the last
    return math.prod(len(list(each.sweep_string_iterator())) for each in swept.values() if each.is_sweep_override())
