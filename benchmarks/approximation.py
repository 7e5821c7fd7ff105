"""What the approximation term adds to an epoch of the default run, a shallow model, side by side.

    python benchmarks/approximation.py

prints the median seconds of an epoch without and with the term, for dilations of radius 1, 2 and 3, and the median of
what it adds in each turn.
"""

from __future__ import annotations

import statistics
import sys

from epoch import lightning
from hydra import compose, initialize
from hydra.utils import instantiate

import partae.run.resolvers  # noqa: F401 - conf/ refers to them

RADII = (1, 2, 3)
ROUNDS = 7  # in turn, so that a machine whose speed drifts slows all alike


def main() -> None:
    ways = {"none": ["approximation=none"]}
    ways |= {
        f"dilation:{radius}": ["approximation=dilation", f"approximation.operators=[dilation:{radius}]"]
        for radius in RADII
    }
    with initialize(version_base="1.3", config_path="../conf"):
        configurations = {name: compose("train", overrides=overrides) for name, overrides in ways.items()}
    data = instantiate(configurations["none"].data)
    data.prepare_data()
    data.setup("fit")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, cfg in configurations.items():
            seconds[name].append(statistics.mean(lightning(cfg, data, 2)))
    for name, values in seconds.items():
        ratio = statistics.median(value / base for value, base in zip(values, seconds["none"], strict=True))
        print(f"  {name:<12}{statistics.median(values):6.2f} s an epoch   {ratio - 1:+.0%}")


if __name__ == "__main__":
    print(__doc__) if "--help" in sys.argv else main()
