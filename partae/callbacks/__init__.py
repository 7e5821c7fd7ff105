"""Callbacks that watch a training."""

from partae.callbacks.gallery import Gallery

__all__ = ["Gallery"]
