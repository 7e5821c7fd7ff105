"""Train a part-based representation: ``python train.py``, or a sweep of them: ``python train.py -m key=a,b,c``."""

from __future__ import annotations

import os
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

import partae.run.resolvers  # noqa: F401 - conf/ refers to them
from partae.run.command_line import resume, spell_out
from partae.run.hints import next_lines
from partae.run.messages import run

CONF = str(Path(__file__).with_name("conf").resolve())


@hydra.main(version_base="1.3", config_path=CONF, config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Run one job, say what came of it and what to type next, and return the swept metric."""
    # torch and Lightning are loaded here: --help, a mistyped key and tab completion do without
    from partae.report import table, verdicts
    from partae.run.job import run_job
    from partae.run.run_folder import is_first_process

    hydra_cfg = HydraConfig.get()
    folder = Path(os.path.relpath(hydra_cfg.runtime.output_dir))
    measures = run_job(cfg, folder)
    if hydra_cfg.mode == RunMode.RUN and is_first_process():  # a sweep ends with a table of its own
        tested = [(key, value) for key, value in measures.items() if key.startswith("test/")]
        print("\n" + table([{"test images": key.removeprefix("test/"), "value": value} for key, value in tested]))
        print("\n" + "\n".join(verdicts(measures)))
        if debug := hydra_cfg.runtime.choices.get("debug"):
            print(f"\ndebug={debug} trains too little for its measures to mean anything.")
        print(f"\nWritten to {folder}.")
        if lines := next_lines(folder):
            print("Look at it next with\n\n" + "".join(f"  {line}\n" for line in lines))
    return measures.get(cfg.metric)  # None says to a sweeper that the job failed


def command() -> None:
    """What the installed package calls."""
    run(main, lambda typed: resume(spell_out(typed, Path(CONF))))


if __name__ == "__main__":
    command()
