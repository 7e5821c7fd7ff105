"""PCA, NMF and the like as models: an estimator learns the atoms, a coder encodes by them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import TQDMProgressBar
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Optimizer

from partae.checks import InputError, check_floats
from partae.constraint import Constraint
from partae.data import DataModule
from partae.decoder import Dictionary
from partae.model.averages import Losses, Means
from partae.model.lightning import Batch, Measured
from partae.nmf.sparse_nmf import SparseNMF
from partae.representation import check_images

VERIFIED = 100  # training images by which a model is compared with its estimator
TOLERANCE = 1e-4  # of the largest pixel that an estimator decodes: its own arithmetic may be in single precision
SHARE = 0.005  # of its own error, by which an estimator that codes iteratively may miss the code that it aims at


class Factorization(Measured):
    """The atoms of an estimator, with a map from any image to its code.

    Lightning trains and tests it as it does an auto-encoder: its one step fits the estimator to all training images.
    The result are the decoder's atoms and bias; checkpoints leave the estimator out, so that a loaded model has none.

    Args:
        encoder: a coder, (images, atoms, bias) -> code.
        decoder: code -> images, linear.
        estimator: in the manner of scikit-learn, with n_components (or n_clusters) equal to the number of atoms, and an
            ``inverse_transform`` that is linear, or else ``cluster_centers_`` (K, F). The encoder must code as its
            ``transform`` does, or as its ``predict``.
    """

    terms = ("reconstruction",)
    is_shared_out = False

    def __init__(self, encoder: nn.Module, decoder: Dictionary, estimator: BaseEstimator | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.encoder = encoder
        self.decoder = decoder.requires_grad_(False)
        self.estimator = estimator

    def _encode(self, images: Tensor) -> Tensor:
        return self.encoder(images, self.atoms, self.bias)

    def losses_of_batch(self, images: Tensor, operated: Tensor | None = None) -> tuple[Losses, Tensor]:
        code = self.encoder(images, self.atoms, self.bias)
        return {"reconstruction": F.mse_loss(self.decoder(code), images)}, code

    def fit(self, images: Tensor) -> Factorization:
        """Learn the atoms and the bias of images (N, C, H, W).

        Raises:
            InputError: if there is no estimator; if the images are not in [0, 1] or of another shape than the atoms;
                if the estimator refuses them or its own arguments; if no atoms and bias decode as it does, or not so
                many; or if its own reconstruction of training images is another one.
        """
        if self.estimator is None:
            raise InputError(
                "a factorization without model.estimator cannot be trained: name one, as conf/model/pca.yaml does; a "
                "loaded one has none, since checkpoints hold none"
            )
        check_floats("fit", images)
        check_images("fit", images, self.atoms.shape[1:])
        name, flat = f"model.estimator={type(self.estimator).__name__}", images.flatten(1)
        # SparseNMF computes where the images are; scikit-learn's tolerances are meant for double precision
        data = flat if isinstance(self.estimator, SparseNMF) else flat.cpu().double().numpy()
        try:
            with warnings.catch_warnings():  # a rough code of each batch is enough for dictionary learning
                warnings.filterwarnings("ignore", "Objective did not converge", ConvergenceWarning)
                self.estimator.fit(data)
                atoms, bias, expected = _linear(self.estimator, data[:VERIFIED])
        except ValueError as error:
            raise InputError(f"{name} cannot be fitted: {error}") from error
        needed = self.atoms.flatten(1).shape
        if atoms.shape != needed:
            raise InputError(
                f"{name} has {len(atoms)} components of {atoms.shape[1]} pixels, but the decoder {needed[0]} atoms of "
                f"{needed[1]}: give it latent_dim components (n_components, n_clusters) and images of data.image_shape"
            )
        self.atoms.copy_(torch.from_numpy(atoms).view_as(self.atoms))
        self.bias.copy_(torch.from_numpy(bias).view_as(self.bias))
        self._compare(name, images[:VERIFIED], torch.from_numpy(expected))
        return self

    @torch.no_grad()
    def _compare(self, name: str, images: Tensor, expected: Tensor) -> None:
        """Refuse an encoder that leads to other reconstructions of images (N, C, H, W) than ``expected``, (N, F)."""
        found = self.decoder(self._encode(images.to(self.atoms))).flatten(1).cpu().double()
        pixels = images.flatten(1).cpu().double()
        own, error = F.mse_loss(expected, pixels), F.mse_loss(found, pixels)
        if not F.mse_loss(found, expected) <= max(SHARE * own, (TOLERANCE * expected.abs().max()) ** 2):
            raise InputError(
                f"{name} reconstructs training images with an error of {own:.4g}, but by the code of model.encoder="
                f"{type(self.encoder).__name__} the error is {error:.4g}: choose an encoder, and its l1 or "
                "sparseness, that codes as the estimator's transform does, as conf/model/dictionary_learning.yaml does"
            )

    def configure_optimizers(self) -> Optimizer:
        return SGD(self.parameters())  # moves nothing: Lightning counts steps by those of an optimizer

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
        if isinstance(self.estimator, SparseNMF):  # its one step is long: it shows a bar where Lightning does
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
        means = Means()
        for images, *_ in data.batches("train"):
            means.add(*self.losses_of_batch(images.to(self.atoms.dtype)))
        self.log_losses("train", self.losses_of_set(*means.compute()), batch_size=len(batch[0]))


def _linear(estimator: Any, images: Tensor | NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The atoms (K, F) and the bias (F,) by which a fitted estimator decodes, and its reconstruction of the images.

    They come from its ``inverse_transform`` and not from its ``components_``, which may be something else, as the
    unmixing matrix of an independent component analysis, or lack a factor, as those of a whitened PCA.

    Args:
        estimator: in the manner of scikit-learn.
        images: (N, F).

    Returns:
        All in double precision.

    Raises:
        InputError: if no atoms and bias decode as it does.
    """
    if not hasattr(estimator, "inverse_transform"):
        if not hasattr(estimator, "cluster_centers_"):
            raise InputError("it has neither inverse_transform nor cluster_centers_, which would give its atoms")
        centers = np.asarray(estimator.cluster_centers_, dtype=np.float64)
        return centers, np.zeros(centers.shape[1]), centers[estimator.predict(images)]

    def decode(code: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(estimator.inverse_transform(code), dtype=np.float64)

    code = torch.as_tensor(estimator.transform(images)).cpu().double().numpy()
    bias = decode(np.zeros((1, code.shape[1])))
    atoms = decode(np.eye(code.shape[1])) - bias
    expected = decode(code)
    if not np.abs(code @ atoms + bias - expected).max() <= TOLERANCE * np.abs(expected).max():
        raise InputError("its inverse_transform is not linear, so that no atoms and bias decode as it does")
    return atoms, bias[0], expected
