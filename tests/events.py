"""What a run has written to TensorBoard."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def events_of(folder: Path) -> list[EventAccumulator]:
    return [EventAccumulator(str(file)).Reload() for file in sorted(folder.glob("events.*"))]


def pictures(folder: Path) -> set[str]:
    return {tag for events in events_of(folder) for tag in events.Tags()["images"]}


def logged(folder: Path) -> dict[str, float]:
    """The last value of each scalar that TensorBoard shows of a run."""
    each = [(events, tag) for events in events_of(folder) for tag in events.Tags()["scalars"]]
    return {tag: events.Scalars(tag)[-1].value for events, tag in each}
