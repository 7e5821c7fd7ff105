"""Measure and draw trained models on the test images.

``python evaluate.py ckpt=<checkpoint, run folder or sweep folder>``, or several: ``ckpt=[<one>,<other>]``,
with names for the figures: ``'ckpt={first model: <one>, second model: <other>}'``.
"""

from __future__ import annotations

from pathlib import Path

import hydra
from omegaconf import DictConfig

import partae.run.resolvers  # noqa: F401 - conf/ refers to them
from partae.run.command_line import add_training_images, spell_out
from partae.run.messages import run, stop_on_error

CONF = str(Path(__file__).with_name("conf").resolve())


@hydra.main(version_base="1.3", config_path=CONF, config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Evaluate, and print the measures and what to open next."""
    # torch and Lightning are loaded here: --help and a mistyped key do without
    from partae.report import table, verdicts, verdicts_of_runs
    from partae.sweep.evaluation import evaluate
    from partae.sweep.rows import SHOWN, heading

    with stop_on_error():
        evaluation = evaluate(cfg)
    runs = list(evaluation.measures.values())
    if len(runs) == 1:
        print(table([{"test images": key.removeprefix("test/"), "value": value} for key, value in runs[0].items()]))
        print("\n" + "\n".join(verdicts(runs[0])))
    else:
        keys = {f"test/{name}": heading(name) for name in SHOWN}
        rows: list[dict[str, str | float]] = [
            {"model": name, **{keys[key]: value for key, value in measures.items() if key in keys}}
            for name, measures in evaluation.measures.items()
        ]
        print(table(rows))
        print("\n" + "\n".join(verdicts_of_runs(runs)))
    if evaluation.stability is not None:
        print(
            f"\nStability of the atoms between these models, in [-1, 1]: {evaluation.stability:.3f} (1: the same atoms)"
        )
    print(f"\nMeasures and figures are in {evaluation.folder}. Open in a browser")
    for page in evaluation.pages:
        print(f"  {page}")
    if evaluation.exports:
        print(f"Exported to {', '.join(map(str, evaluation.exports))}")


def command() -> None:
    """What the installed package calls."""
    run(main, lambda typed: add_training_images(spell_out(typed, Path(CONF))))


if __name__ == "__main__":
    command()
