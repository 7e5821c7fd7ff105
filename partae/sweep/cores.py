"""A machine's cores among the jobs of a sweep that run on it at once."""

from __future__ import annotations

import os

from hydra.conf import HydraConf
from joblib import cpu_count

THREADS = "OMP_NUM_THREADS"  # which each process that is started from now on finds in its environment


def share_out_cores(hydra: HydraConf, jobs: int | None) -> None:
    """Give each job of a launcher that starts all of them at once its share of the cores, at least one.

    Threads of several jobs on one core wait for one another many times longer than they compute. joblib and Ray share
    the cores out themselves, and who has set `THREADS` knows better.

    Args:
        hydra: of a multirun.
        jobs: how many it asks for, where that is known.
    """
    if (
        jobs
        and THREADS not in os.environ
        and str(hydra.launcher["_target_"]).endswith("submitit_launcher.LocalLauncher")
    ):
        at_once = min(jobs, hydra.sweeper.get("max_batch_size") or jobs)
        os.environ[THREADS] = str(max(1, cpu_count() // at_once))
