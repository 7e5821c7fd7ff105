"""A mean that hides nothing."""

from __future__ import annotations

from torchmetrics import MeanMetric


class Mean(MeanMetric):
    """Mean of a measure over images; one that is not a number makes the mean not a number, and is not left out."""

    def __init__(self) -> None:
        super().__init__(nan_strategy="disable")
