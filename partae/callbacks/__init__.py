"""Callbacks that watch a training."""

from partae.callbacks.gallery import Gallery
from partae.callbacks.revival import Revival

__all__ = ["Gallery", "Revival"]
