"""Encoders: images (B, C, H, W) -> code (B, K)."""

from partae.encoder.interface import Encoder
from partae.encoder.layers import BatchNorm, Conv, Dense, Layers, Unrolled
from partae.encoder.pursuit import MatchingPursuit, pursue

__all__ = ["BatchNorm", "Conv", "Dense", "Encoder", "Layers", "MatchingPursuit", "Unrolled", "pursue"]
