"""Non-negative matrix factorization with sparseness constraints, as a scikit-learn estimator on torch."""

from __future__ import annotations

import math
import warnings
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor
from tqdm import tqdm

from partae.checks import InputError, one_of, real, whole
from partae.nmf import initial
from partae.nmf.euclidean import Euclidean, balanced
from partae.nmf.kullback_leibler import KullbackLeibler

Array = TypeVar("Array", NDArray[Any], Tensor)

INITS = {"random": initial.random, "nndsvd": initial.nndsvd}
BATCH = 4096  # images that `transform` encodes at once
FORGETTING = 4  # power by which `partial_fit` forgets batches: the last fifth of them decides
WINDOW = 10  # iterations over which the fall of the objective is compared with `tol`


def _has_euclidean_objective(estimator: SparseNMF) -> bool:
    return estimator.objective == "euclidean"


class SparseNMF(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Images ≈ code × atoms, all non-negative, with Hoyer's sparseness asked of the code, the atoms, both or neither.

    Images are (N, F), flattened, as a numpy array or a tensor; what comes out is of the same kind, precision and
    device. The objective never rises from one iteration to the next. An image of zeros has a code of zeros.

    The sparseness of the code has two readings. Per unit, Hoyer's own: a unit's activations over all images of the
    fit. It says nothing of a new image, whose code in `transform` is plain non-negative least squares. Per image: a
    code's entries over the units, which `transform` keeps too.

    Args:
        n_components: K, the number of atoms.
        sparseness_of_code: in [0, 1]; None leaves the code free.
        sparseness_of_atoms: in [0, 1]; None leaves the atoms free.
        code_sparseness_per: "unit" or "image".
        objective: "euclidean", half the squared error, or "kullback_leibler", which takes no sparseness.
        init: "random", or "nndsvd" with zeros filled by the mean.
        max_iter: iterations at most; reaching them is warned of, unless ``tol`` is 0.
        tol: stop once ten iterations lower the objective by less than this share of its first value.
        random_state: a seed, a generator, or None for a different start each time.
        device: to compute on; by default a tensor's own, and the CPU for numpy.
        verbose: show a progress bar of the iterations.

    Attributes:
        components_: the atoms, (K, F). They carry the scale: a unit's code has mean square 1 over the images of the
            fit, unless its sparseness is per image.
        reconstruction_err_: the root of twice the objective; for "euclidean" the Frobenius norm of the residual.
        objective_history_: the objective before the first iteration and after each.
        n_iter_: iterations done; after `partial_fit`, the number of batches seen.
        n_features_in_: F.

    Raises:
        InputError: by the fitting methods, if an argument is out of range.
        ValueError: scikit-learn's, for images that are negative, not finite, empty or of another size than before.

    Source: Hoyer, *Non-negative matrix factorization with sparseness constraints*, JMLR 5 (2004).

    >>> images = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 2.0]])
    >>> SparseNMF(2, random_state=0).fit_transform(images).shape
    torch.Size([3, 2])
    """

    components_: Any  # an array or a tensor, as the images were

    def __init__(
        self,
        n_components: int = 100,
        *,
        sparseness_of_code: float | None = None,
        sparseness_of_atoms: float | None = None,
        code_sparseness_per: str = "unit",
        objective: str = "euclidean",
        init: str = "random",
        max_iter: int = 400,
        tol: float = 1e-4,
        random_state: int | np.random.RandomState | None = None,
        device: str | torch.device | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.sparseness_of_code = sparseness_of_code
        self.sparseness_of_atoms = sparseness_of_atoms
        self.code_sparseness_per = code_sparseness_per
        self.objective = objective
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def fit(self, images: Array, y: None = None) -> SparseNMF:
        """Learn the atoms of images (N, F)."""
        self.fit_transform(images)
        return self

    @torch.no_grad()
    def fit_transform(self, images: Array, y: None = None) -> Array:
        """Learn the atoms of images (N, F) and return their code (N, K).

        It is what `transform` gives for them, unless its sparseness is per unit: then it is the code that keeps it.
        """
        objective = self._objective()
        data = self._tensor(images, reset=True)
        code, atoms = self._start(data, objective)
        history = [objective.value(data, code, atoms)]
        for _ in tqdm(range(self.max_iter), "NMF", leave=False, disable=not self.verbose):
            code, atoms, value = objective.step(data, code, atoms, history[-1])
            history.append(value)
            if len(history) > WINDOW and history[-1 - WINDOW] - value <= self.tol * history[0]:
                break
        else:
            if self.tol > 0:
                warnings.warn(f"max_iter={self.max_iter} came before tol={self.tol}", ConvergenceWarning, stacklevel=2)
        if not self._sparse_images:
            transposed, code = balanced(atoms.T, code.T)
            atoms, code = transposed.T / len(data) ** 0.5, code.T * len(data) ** 0.5
        if self.sparseness_of_code is None or self._sparse_images:
            code = self._encode(objective, data, atoms)
        self.components_ = _like(atoms, images)
        self._products = code.T @ code, code.T @ data
        self.objective_history_ = history
        self.n_iter_ = len(history) - 1
        self.reconstruction_err_ = math.sqrt(2 * objective.value(data, code, atoms))
        return _like(code, images)

    @available_if(_has_euclidean_objective)  # type: ignore[untyped-decorator]
    @torch.no_grad()
    def partial_fit(self, images: Array, y: None = None) -> SparseNMF:
        """Learn from one batch (B, F) more: its code for the present atoms, then better atoms for all codes so far.

        Of the codes only their products are kept, (K, K) and (F, K). A sparseness per unit holds over each batch.

        There is no such method for ``objective="kullback_leibler"``, whose updates need all images.

        Source: Mairal, Bach, Ponce and Sapiro, *Online learning for matrix factorization and sparse coding*, JMLR 11
        (2010).
        """
        objective = cast("Euclidean", self._objective())
        first = not hasattr(self, "components_")
        data = self._tensor(images, reset=first)
        atoms = self._start(data, objective)[1] if first else _tensor(self.components_).to(data)
        code, atoms = objective.constrained(objective.encode(data, atoms), atoms)
        code, _ = objective.improve_code(data, code, atoms, 0)
        gram, cross = code.T @ code, code.T @ data
        if not first:
            kept = (1 - 1 / (self.n_iter_ + 1)) ** FORGETTING
            gram, cross = (new + kept * old.to(data) for new, old in zip((gram, cross), self._products, strict=True))
        atoms, _ = objective.improve_atoms(atoms, gram, cross, 0)
        self._products = gram, cross
        self.components_ = _like(atoms, images)
        self.n_iter_ = 1 if first else self.n_iter_ + 1
        return self

    @torch.no_grad()
    def transform(self, images: Array) -> Array:
        """The code (N, K) with the least error for the learned atoms; its sparseness is kept if it is per image."""
        check_is_fitted(self)
        data = self._tensor(images, reset=False)
        atoms = _tensor(self.components_).to(data)
        return _like(self._encode(self._objective(), data, atoms), images)

    def inverse_transform(self, code: Array) -> Array:
        """The images (N, F) of a code (N, K)."""
        check_is_fitted(self)
        given, atoms = _tensor(code), _tensor(self.components_)
        given = given if given.is_floating_point() else given.to(atoms.dtype)  # atoms are no whole numbers
        return _like(given @ atoms.to(given), code)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    @property
    def _sparse_images(self) -> bool:
        return self.sparseness_of_code is not None and self.code_sparseness_per == "image"

    def _objective(self) -> Euclidean | KullbackLeibler:
        """The objective, once all arguments are found in range."""
        whole("n_components", self.n_components)
        whole("max_iter", self.max_iter)
        real("tol", self.tol, low=0)
        one_of("init", self.init, tuple(INITS))
        one_of("code_sparseness_per", self.code_sparseness_per, ("unit", "image"))
        given = {key: getattr(self, key) for key in ("sparseness_of_code", "sparseness_of_atoms")}
        sparseness = {key: None if value is None else real(key, value, 0, 1) for key, value in given.items()}
        if one_of("objective", self.objective, ("euclidean", "kullback_leibler")) == "euclidean":
            return Euclidean(**sparseness, per_image=self._sparse_images)
        asked = [key for key, value in sparseness.items() if value is not None]
        if asked:
            raise InputError(f"{' and '.join(asked)} need objective='euclidean'; got {self.objective!r}")
        return KullbackLeibler()

    @staticmethod
    def _encode(objective: Euclidean | KullbackLeibler, data: Tensor, atoms: Tensor) -> Tensor:
        return torch.cat([objective.encode(batch, atoms) for batch in torch.split(data, BATCH)])

    def _start(self, data: Tensor, objective: Euclidean | KullbackLeibler) -> tuple[Tensor, Tensor]:
        n_components, generator = int(self.n_components), check_random_state(self.random_state)
        code, atoms = INITS[self.init](data, n_components, generator)
        code = code * (data > 0).any(dim=1, keepdim=True)
        return objective.start(data, code, atoms) if isinstance(objective, Euclidean) else (code, atoms)

    def _tensor(self, images: NDArray[Any] | Tensor, *, reset: bool) -> Tensor:
        """Images (N, F) found fit by scikit-learn, on the device to compute on."""
        array = images.detach().cpu().numpy() if isinstance(images, Tensor) else images
        array = validate_data(self, array, reset=reset, dtype=[np.float64, np.float32], ensure_non_negative=True)
        return _tensor(array).to(self.device or (images.device if isinstance(images, Tensor) else "cpu"))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _tensor(array: NDArray[Any] | Tensor) -> Tensor:
    """A tensor that shares memory where torch can: not with a list, nor with an array read-only or backwards."""
    return array if isinstance(array, Tensor) else torch.from_numpy(np.require(array, requirements=("C", "W")))


def _like(result: Tensor, given: Array) -> Array:
    """The result as the kind of array that was given, on its device."""
    kind: NDArray[Any] | Tensor = given
    return cast("Array", result.to(kind.device) if isinstance(kind, Tensor) else result.cpu().numpy())
