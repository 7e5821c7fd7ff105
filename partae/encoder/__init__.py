"""Encoders: images (B, C, H, W) -> code (B, K)."""

from partae.encoder.inhibition import Unrolled
from partae.encoder.layers import BatchNorm, Conv, Dense, Encoder
from partae.encoder.pursuit import MatchingPursuit, pursue

__all__ = ["BatchNorm", "Conv", "Dense", "Encoder", "MatchingPursuit", "Unrolled", "pursue"]
