"""Models in files: checkpoints and exports, read without running anything that they bring along."""

from partae.saving.checkpoints import WholeCheckpoints
from partae.saving.exporting import export
from partae.saving.loading import load

__all__ = ["WholeCheckpoints", "export", "load"]
