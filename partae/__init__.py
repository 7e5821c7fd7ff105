"""Part-based representations of images: sparse, non-negative auto-encoders and their max-approximations."""

from partae.autoencoder import AutoEncoder
from partae.estimator import PartAutoEncoder
from partae.loading import load
from partae.morphology import Operator, dilation

__all__ = ["AutoEncoder", "Operator", "PartAutoEncoder", "dilation", "load"]
