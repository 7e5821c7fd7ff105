"""The losses of a run over its training, from what TensorBoard keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from partae.figures import Array
from partae.model.autoencoder import AutoEncoder

SPLITS = {"train": "training", "val": "validation"}


def read_history(folder: Path) -> Mapping[str, Mapping[str, tuple[Array, Array]]]:
    """Each term of the loss that is not 0 throughout: by its name and the images, steps (N,) and values (N,).

    Empty where the run in ``folder`` has no TensorBoard events.
    """
    if not any(folder.glob("events.out.tfevents.*")):
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # takes a second to import

    events = EventAccumulator(str(folder), {"scalars": 0}).Reload()
    tags = set(events.Tags()["scalars"])
    history: dict[str, dict[str, tuple[Array, Array]]] = {}
    trained = sorted(tag.removeprefix("train/") for tag in tags if tag.startswith("train/"))
    for term in dict.fromkeys(("loss", *AutoEncoder.terms, *trained)):
        for split, images in SPLITS.items():
            if (tag := f"{split}/{term}") in tags:
                steps, values = np.array([(float(each.step), each.value) for each in events.Scalars(tag)]).T
                if values.any():
                    history.setdefault(term.capitalize().replace("_", " "), {})[images] = steps, values
    return history
