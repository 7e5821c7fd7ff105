"""Sweeps, and the rest of what partae tells Hydra: the only package that imports it."""

from omegaconf import OmegaConf

from partae.sweep.command_line import as_trained, evaluate_line, none_for_null, resume, tensorboard_line, typed
from partae.sweep.folders import job_folder, new_folder, sweep_folder
from partae.sweep.job import run_job
from partae.sweep.jobs import finish, is_first_process
from partae.sweep.messages import explained, run
from partae.sweep.parts import Parts, closing, parts
from partae.sweep.progress import Progress
from partae.sweep.shape import image_shape
from partae.sweep.summary import Summary

# conf/ calls them by these names
OmegaConf.register_new_resolver("partae.image_shape", image_shape, replace=True, use_cache=True)
OmegaConf.register_new_resolver("partae.job_folder", job_folder, replace=True)
OmegaConf.register_new_resolver("partae.new_folder", new_folder, replace=True, use_cache=True)
OmegaConf.register_new_resolver("partae.sweep_folder", sweep_folder, replace=True, use_cache=True)

__all__ = [
    "Parts",
    "Progress",
    "Summary",
    "as_trained",
    "closing",
    "evaluate_line",
    "explained",
    "finish",
    "image_shape",
    "is_first_process",
    "job_folder",
    "none_for_null",
    "parts",
    "resume",
    "run",
    "run_job",
    "tensorboard_line",
    "typed",
]
