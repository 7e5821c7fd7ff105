"""``hydra/launcher=ray``: a sweep's jobs as tasks of a Ray cluster, or of this machine.

hydra-ray-launcher would serve too, but needs a cloudpickle that is too old for joblib.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from partae.checks import InputError


class RayLauncher(Launcher):
    """Gives each job to Ray and waits for all of them.

    Args:
        init: arguments of ``ray.init``; its ``address`` is "auto" for the cluster that this machine belongs to.
        remote: what a job asks for, as in ``ray.remote``: ``num_cpus``, ``num_gpus``, ``resources``.
    """

    def __init__(self, init: DictConfig, remote: DictConfig) -> None:
        self.init, self.remote = init, remote

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        import ray

        setup_globals()
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        ray.init(ignore_reinit_error=True, **_plain(self.init))
        task = ray.remote(_run).options(**_plain(self.remote))
        returns = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(config):
                config.hydra.job.id = config.hydra.job.num = number
            returns.append(
                task.remote(Path.cwd(), self.hydra_context, self.task_function, config, Singleton.get_state())
            )
        return list(ray.get(returns))


def _run(
    folder: Path, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig, state: Any
) -> JobReturn:
    """Run one job in a process of Ray, in ``folder``: a process starts where Ray was started."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise InputError(
            f"{folder} is not a folder of {platform.node()}, a machine of the Ray cluster: type the command in a "
            "folder that all of them see"
        ) from error
    setup_globals()
    Singleton.set_state(state)
    return run_job(
        hydra_context=hydra_context,
        task_function=task_function,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )


def _plain(config: DictConfig) -> dict[str, Any]:
    return cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True))
