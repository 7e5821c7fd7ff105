"""Atoms begin as parts that another method has found."""

from __future__ import annotations

from typing import Any, cast

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from partae.checks import real, whole
from partae.data import DataModule
from partae.model.autoencoder import AutoEncoder
from partae.nmf import SparseNMF


class SparseBeginning(Callback):
    """Before the first step, atoms become those of sparse NMF of some training images, each as bright as before.

    A maximum of atoms learns slowly which atoms there should be, since an atom learns little where others are larger.

    Args:
        images: how many training images are factorized, the first ones.
        iterations: of sparse NMF.
        sparseness: of the code, in [0, 1].
        seed: of sparse NMF.

    Raises:
        InputError: if an argument is out of range.
    """

    def __init__(self, images: int = 5000, iterations: int = 100, sparseness: float = 0.6, seed: int = 0) -> None:
        self.images = whole("callbacks.sparse_beginning.images", images)
        self.iterations = whole("callbacks.sparse_beginning.iterations", iterations)
        self.sparseness = real("callbacks.sparse_beginning.sparseness", sparseness, low=0, high=1)
        self.seed = whole("callbacks.sparse_beginning.seed", seed, minimum=0)

    @torch.no_grad()
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path is not None:  # a resumed run has begun already
            return
        model, data = cast("AutoEncoder", pl_module), cast("DataModule", cast("Any", trainer).datamodule)
        estimator = SparseNMF(
            len(model.atoms),
            sparseness_of_code=self.sparseness,
            max_iter=self.iterations,
            tol=0.0,
            random_state=self.seed,
        )
        images = data.first("train", self.images).to(model.atoms)
        atoms = estimator.fit(images.flatten(1)).components_.view_as(model.atoms)
        before, now = (each.flatten(1).amax(dim=1) for each in (model.atoms, atoms))
        model.atoms.copy_(atoms * (before / now.clamp(min=1e-12))[:, None, None, None])
