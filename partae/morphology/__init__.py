"""Flat morphological operators by a disk, to measure and to train with."""

from partae.morphology.operators import (
    OPERATORS,
    Array,
    Operator,
    dilate,
    dilation,
    disk,
    erode,
    operate,
    operator,
)

__all__ = ["OPERATORS", "Array", "Operator", "dilate", "dilation", "disk", "erode", "operate", "operator"]
