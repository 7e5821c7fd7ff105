"""Sweeps, and the rest of what partae tells Hydra: the only package that imports it."""

from partae.sweep.messages import explained
from partae.sweep.summary import Summary

__all__ = ["Summary", "explained"]
