"""Part-based representations of images: sparse, non-negative auto-encoders and their max-approximations."""

from partae.autoencoder import AutoEncoder
from partae.estimator import PartAutoEncoder
from partae.factorization import Factorization
from partae.loading import load
from partae.metrics import calibrate
from partae.morphology import Operator, dilation

__all__ = ["AutoEncoder", "Factorization", "Operator", "PartAutoEncoder", "calibrate", "dilation", "load"]
