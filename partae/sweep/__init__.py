"""Sweeps, and the rest of what partae tells Hydra: the only package that imports it."""

from omegaconf import OmegaConf

from partae.sweep.messages import explained, run
from partae.sweep.summary import Summary, job_folder

# conf/train.yaml calls it by this name
OmegaConf.register_new_resolver("partae.job_folder", job_folder, replace=True)

__all__ = ["Summary", "explained", "job_folder", "run"]
