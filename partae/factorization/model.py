"""PCA, NMF and their like behind the verbs of a model: an estimator learns the atoms, a coder codes by them."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from pytorch_lightning.callbacks import TQDMProgressBar
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Optimizer

from partae.checks import InputError
from partae.constraint import Constraint
from partae.data import DataModule
from partae.decoder import Dictionary
from partae.factorization.sparse_nmf import SparseNMF
from partae.measured import Batch, Losses, Measured


class Factorization(Measured):
    """The atoms of an estimator, with a map from any image to its code.

    It is trained and tested by Lightning as an auto-encoder is: its one step is a fit to all training images. What it
    has learned are the decoder's atoms and bias; the estimator is in no checkpoint, and a loaded model has none.

    Args:
        encoder: a coder, (images, atoms, bias) -> code.
        decoder: code -> images, linear.
        estimator: in the manner of scikit-learn, with n_components (or n_clusters) equal to the number of atoms. `fit`
            leaves it with ``components_`` or ``cluster_centers_`` (K, F), and with ``mean_`` if it subtracts one.
    """

    terms = ("reconstruction",)
    is_shared_out = False

    def __init__(self, encoder: nn.Module, decoder: Dictionary, estimator: BaseEstimator | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.encoder = encoder
        self.decoder = decoder.requires_grad_(False)
        self.estimator = estimator

    @property
    def atoms(self) -> Tensor:
        return self.decoder.atoms

    @property
    def bias(self) -> Tensor:
        return self.decoder.bias

    def _encode(self, images: Tensor) -> Tensor:
        return self.encoder(images, self.atoms, self.bias)

    def _decode(self, code: Tensor, atoms: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        return self.decoder.decode(code, atoms, bias)

    def losses_of_batch(self, images: Tensor, operated: Tensor | None = None) -> tuple[Losses, Tensor]:
        code = self.encoder(images, self.atoms, self.bias)
        return {"reconstruction": F.mse_loss(self.decoder(code), images)}, code.mean(dim=0)

    def fit(self, images: Tensor) -> Factorization:
        """Learn the atoms, and the bias if the estimator has a mean, of images (N, C, H, W).

        Raises:
            InputError: if there is no estimator, or if it refuses the images or its own arguments.
        """
        if self.estimator is None:
            raise InputError("a loaded factorization cannot be trained again: its estimator is not in the checkpoint")
        data = images.flatten(1)
        # ours computes where the images are, scikit-learn's on the CPU, to tolerances meant for double precision
        try:
            with warnings.catch_warnings():  # dictionary learning needs but a rough code of each batch
                warnings.filterwarnings("ignore", "Objective did not converge", ConvergenceWarning)
                self.estimator.fit(data if isinstance(self.estimator, SparseNMF) else data.cpu().double().numpy())
        except ValueError as error:
            raise InputError(f"model.estimator={type(self.estimator).__name__} cannot be fitted: {error}") from error
        found: Any = self.estimator
        atoms = found.cluster_centers_ if hasattr(found, "cluster_centers_") else found.components_
        self.atoms.copy_(torch.as_tensor(atoms).view_as(self.atoms))
        if hasattr(found, "mean_"):
            self.bias.copy_(torch.as_tensor(found.mean_).view_as(self.bias))
        return self

    def configure_optimizers(self) -> Optimizer:
        return SGD(self.parameters())  # it moves nothing: Lightning counts steps, and so checkpoints, by an optimizer's

    def on_fit_start(self) -> None:
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Constraint):
                raise InputError(
                    f"constraint={callback.name} projects atoms after each step, and this model takes none: "
                    "choose constraint=none"
                )
        if self.trainer.precision not in ("32-true", "64-true"):
            raise InputError(
                f"trainer.precision={self.trainer.precision} is too coarse for a factorization: leave it out"
            )
        self.trainer.fit_loop.max_epochs = self.trainer.limit_train_batches = 1
        if isinstance(self.estimator, SparseNMF):  # its one step is long: a bar of its own, where Lightning has one
            bar = self.trainer.progress_bar_callback
            self.estimator.verbose = isinstance(bar, TQDMProgressBar) and bar.is_enabled

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        data: DataModule = self.trainer.datamodule  # type: ignore[attr-defined]
        if "train" in data.streams:
            raise InputError(
                f"model.estimator={type(self.estimator).__name__} sees all images at once, and they take more than "
                f"data.memory={data.memory:g} gigabytes: raise it, or train on fewer images"
            )
        self.fit(data.sets["train"][0])
        self.optimizers().step()  # type: ignore[union-attr]
        self.log_losses("train", self.losses(batch[0]), batch_size=len(batch[0]))
