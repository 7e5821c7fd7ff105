"""The auto-encoder as a scikit-learn transformer."""

from __future__ import annotations

import copy
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.warnings import PossibleUserWarning
from numpy.typing import NDArray
from pytorch_lightning import Callback, Trainer
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from partae.checks import InputError, real, whole
from partae.constraint import NonNegative
from partae.data.batches import Batches, Order
from partae.decay import NoDecay
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.metrics import explained_variance
from partae.model.autoencoder import AutoEncoder
from partae.run.interruption import interruptible
from partae.saving.specification import describe, restore
from partae.schedule import Cosine
from partae.sparsity import KL

TASKS = ("SLURM_NTASKS", "WORLD_SIZE")  # where a cluster says how many processes it has started
UNIT = 100  # images so many times larger or smaller than those of the fit have another unit
MANY = 10  # images, which are not all dark
LOCK = threading.RLock()  # a fit changes what all threads share, and puts it back: one fit at a time
Array = NDArray[np.floating[Any]]
Module = TypeVar("Module")


class PartAutoEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learns the atoms of images and an encoder that gives the code of any image in one pass.

    It is the `AutoEncoder` of ``python train.py``, trained by Lightning. Images X are flat, (N, F), or (N, C, H, W).
    Their unit does not matter: `fit` divides them by their largest size first, so that images in [0, 255] have the code
    of the same images in [0, 1]. Later images must have the same unit: those 100 times larger are refused, and ten or
    more that are 100 times smaller. Parts are meant for images that are at least 0; others are taken too.

    A penalty or constraint is given built, as in ``sparsity=KL(beta=0.01, p=0.1)``, or as a class for its defaults.

    Args:
        latent_dim: K, the number of atoms.
        sparsity: penalty on the code, of `partae.sparsity`.
        decay: penalty on the atoms, of `partae.decay`.
        constraint: of `partae.constraint`, or several in a list; None leaves the atoms free.
        activation: of the code, a name that `Dense` knows.
        decoder_activation: of the images, a name that `Dictionary` knows.
        hidden: widths of the encoder's layers between.
        learning_rate: of Adam, above 0.
        max_epochs: passes over the images.
        batch_size: images in a step.
        random_state: a seed, a generator, or None for different weights each time.
        accelerator: what Lightning trains on; "cpu", "gpu", or "auto" for the best there is.

    Attributes:
        components_: the atoms in the unit of X, (K, F).
        auto_encoder_: the `AutoEncoder` of images divided by `scale_`, in double precision, with all of its verbs.
        scale_: the largest size in the images of the fit, 1 if that is 0.
        n_features_in_: F.

    Raises:
        InputError: by `fit`, if an argument is out of range or channels come last; by `transform` and `score`, if
            images have another unit or shape.
        ValueError: scikit-learn's, for images that are not finite, empty or of another size than before.

    >>> X = np.random.default_rng(0).random((20, 6))
    >>> PartAutoEncoder(latent_dim=2, max_epochs=1, accelerator="cpu").fit_transform(X).shape
    (20, 2)
    """

    def __init__(
        self,
        latent_dim: int = 100,
        *,
        sparsity: nn.Module | Callable[[], nn.Module] = KL,
        decay: nn.Module | Callable[[], nn.Module] = NoDecay,
        constraint: Callback
        | Callable[[], Callback]
        | Sequence[Callback | Callable[[], Callback]]
        | None = NonNegative,
        activation: str = "sigmoid",
        decoder_activation: str = "leaky_relu",
        hidden: Sequence[int] = (),
        learning_rate: float = 0.008,
        max_epochs: int = 50,
        batch_size: int = 256,
        random_state: int | np.random.RandomState | None = None,
        accelerator: str = "auto",
    ) -> None:
        self.latent_dim = latent_dim
        self.sparsity = sparsity
        self.decay = decay
        self.constraint = constraint
        self.activation = activation
        self.decoder_activation = decoder_activation
        self.hidden = hidden
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.random_state = random_state
        self.accelerator = accelerator

    def fit(self, X: Array, y: object = None) -> PartAutoEncoder:  # noqa: N803
        """Learn atoms and encoder from images X, (N, F) or (N, C, H, W)."""
        images = self._images(X, reset=True)
        self.scale_ = float(np.abs(images).max()) or 1.0
        seed = int(check_random_state(self.random_state).randint(2**31))
        if tasks := next((count for name in TASKS if (count := os.environ.get(name, "1")) != "1"), None):
            warnings.warn(
                f"PartAutoEncoder trains on one device: each of the {tasks} tasks of this job fits a model of its own",
                stacklevel=2,
            )
        with LOCK, _quiet(), interruptible():
            with torch.random.fork_rng(devices=[]):  # the CPU draws the weights, whatever trains them
                torch.default_generator.manual_seed(seed)
                model = self._build_model()
            self._build_trainer().fit(model, self._batches(images, seed))
        # a new model does not hold the trainer, and so the images; in double precision the code of an image does not
        # depend on the images beside it
        learned = restore(describe(model), model.cpu().state_dict(), AutoEncoder)
        self.auto_encoder_ = learned.eval().requires_grad_(False).double()
        self.components_ = self.auto_encoder_.atoms.flatten(1).numpy().astype(images.dtype) * self.scale_
        return self

    def transform(self, X: Array) -> Array:  # noqa: N803
        """The code (N, K) of images X."""
        check_is_fitted(self)
        images = self._images(X, reset=False)
        return self._code(images).numpy().astype(images.dtype)

    def inverse_transform(self, X: Array) -> Array:  # noqa: N803
        """The images of a code X (N, K), of the shape and in the unit of those in `fit`."""
        check_is_fitted(self)
        code = check_array(X, dtype=[np.float64, np.float32])
        images = self.auto_encoder_.decode(code) * self.scale_
        return images.reshape(len(code), *self._shape).astype(code.dtype)

    def score(self, X: Array, y: object = None) -> float:  # noqa: N803
        """The `explained_variance` of images X by their reconstructions, at most 1; higher is better."""
        check_is_fitted(self)
        images = self._images(X, reset=False)
        reconstruction = self.auto_encoder_.decode(self._code(images))
        return explained_variance(reconstruction, torch.from_numpy(images / self.scale_).double()).item()

    def _code(self, images: Array) -> Tensor:
        """The code (N, K) of images (N, C, H, W), which may be negative, or larger than those of the fit."""
        encoder = self.auto_encoder_.encoder
        return encoder(torch.from_numpy(images / self.scale_).double(), self.auto_encoder_.atoms)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def _batches(self, images: Array, seed: int) -> Batches:
        scaled = torch.from_numpy(images / self.scale_).float()
        size = whole("batch_size", self.batch_size)
        return Batches(scaled, torch.zeros(len(scaled)), size, Order(len(scaled), seed))

    def _build_model(self) -> AutoEncoder:
        lr = real("learning_rate", self.learning_rate, low=0, low_open=True)
        return AutoEncoder(
            Dense(self._image_shape, self.latent_dim, self.activation, self.hidden),
            Dictionary(self._image_shape, self.latent_dim, self.decoder_activation),
            sparsity=_build(self.sparsity),
            decay=_build(self.decay),
            optimizer=partial(torch.optim.Adam, lr=lr, betas=(0.5, 0.999), fused=True),
            schedule=Cosine(),
        )

    def _build_trainer(self) -> Trainer:
        constraints = self.constraint if isinstance(self.constraint, list | tuple) else [self.constraint]
        return Trainer(
            max_epochs=whole("max_epochs", self.max_epochs),
            accelerator=self.accelerator,
            devices=1,
            plugins=LightningEnvironment(),  # one process trains, of however many a cluster has started
            callbacks=[_build(constraint) for constraint in constraints if constraint is not None],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    @property
    def _image_shape(self) -> tuple[int, ...]:
        """(C, H, W); a flat image is one row of pixels."""
        return self._shape if len(self._shape) == 3 else (1, 1, *self._shape)

    def _images(self, X: Array, *, reset: bool) -> Array:  # noqa: N803
        """Images (N, C, H, W) found fit by scikit-learn, in float precision."""
        flat = X.reshape(len(X), -1) if getattr(X, "ndim", 2) == 4 else X
        array = validate_data(self, flat, reset=reset, dtype=[np.float64, np.float32])
        if reset:
            if flat is not X and X.shape[3] in (1, 3) and X.shape[1] not in (1, 3):
                raise InputError(f"images must be (N, C, H, W); got {tuple(X.shape)}: give X.transpose(0, 3, 1, 2)")
            self._shape = tuple(X.shape[1:]) if flat is not X else (array.shape[1],)
            return array.reshape(len(array), *self._image_shape)
        if flat is not X and len(self._shape) == 3 and tuple(X.shape[1:]) != self._shape:
            raise InputError(f"images of shape {self._shape} were fitted; got {tuple(X.shape[1:])}")
        largest = float(np.abs(array).max())
        if largest > self.scale_ * UNIT or (len(array) >= MANY and 0 < largest < self.scale_ / UNIT):
            raise InputError(
                f"images with values up to {self.scale_:g} were fitted; got values up to {largest:g}: give X in the "
                "same unit"
            )
        return array.reshape(len(array), *self._image_shape)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _build(given: Module | Callable[[], Module]) -> Module:
    """An instance of the class ``given``, or a copy of the module ``given``, which a fit must not change."""
    if isinstance(given, str):
        raise InputError(f"give a penalty or constraint built or as a class, as partae.sparsity.KL(); got {given!r}")
    return cast("Module", given() if isinstance(given, type) else copy.deepcopy(given))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what Lightning says of hardware and loaders."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
            warnings.filterwarnings("ignore", message="GPU available but not used")
            warnings.filterwarnings("ignore", category=PossibleUserWarning)
            yield
    finally:
        logger.setLevel(level)
