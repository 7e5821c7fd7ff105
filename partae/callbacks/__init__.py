"""Callbacks that watch a training."""

from partae.callbacks.checkpoint import Checkpoint
from partae.callbacks.gallery import Gallery

__all__ = ["Checkpoint", "Gallery"]
