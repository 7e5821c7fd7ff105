"""Non-negative matrix factorization with sparseness constraints, as a scikit-learn estimator on torch."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from partae.checks import one_of, real, whole
from partae.metrics import part_recovery, stability
from partae.nmf.alternation import Alternation, balance, half_squared_error
from partae.nmf.least_squares import nonnegative_least_squares, sparse_least_squares
from partae.nmf.replicates import Fit, race
from partae.representation import as_tensor

Array = TypeVar("Array", NDArray[Any], Tensor)

BATCH = 4096  # images that `transform` encodes at once


class SparseNMF(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Images ≈ code × atoms, all non-negative, with Hoyer's sparseness asked of the code, the atoms, both or neither.

    Images are (N, F), flattened, as a numpy array or a tensor; results are of the same kind, precision and device. Half
    the squared error never rises from one iteration to the next. An image of zeros has a code of zeros, except in a
    fit with sparse codes per unit.

    The sparseness of the code has two readings. Per unit, Hoyer's own: a unit's activations over all images of the
    fit. It says nothing of a new image, whose code in `transform` is plain non-negative least squares. Per image: a
    code's entries over the units, which `transform` keeps too.

    Args:
        n_components: K, the number of atoms.
        sparseness_of_code: in [0, 1]; None leaves the code free.
        sparseness_of_atoms: in [0, 1]; None leaves the atoms free.
        code_sparseness_per: "unit" or "image".
        max_iter: iterations at most; reaching them raises a warning, unless ``tol`` is 0.
        tol: stop once ten iterations lower the error by less than this share of its first value.
        n_init: how many random starts; the fit with the least error is kept. They are those that so many fits with
            one generator would have, one after the other.
        n_final: as long as more fits than that are left, the half with the larger error is dropped after 15, 30, 60,
            ... iterations. With ``n_init`` all go to the end.
        random_state: a seed, a generator, or None for a different start each time.
        device: to compute on; by default a tensor's own, and the CPU for numpy.
        verbose: show a progress bar of the iterations.

    Attributes:
        components_: the atoms, (K, F). They carry the scale: a unit's code has a mean square near 1 over the images of
            the fit, unless its sparseness is per image.
        reconstruction_err_: the Frobenius norm of the residual.
        objective_history_: half the squared error before the first iteration and after each.
        n_iter_: iterations done.
        stability_: mean `stability` of the atoms of two of the fits that went to the end, in [0, 1]: 1 if all starts
            lead to the same atoms. None for one fit.
        consensus_: of each atom, the mean cosine with its partner in the other fits that went to the end, (K,), in
            [0, 1]: 1 if all of them found it. None for one fit.
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
    consensus_: Any  # the same, or None
    stability_: float | None

    def __init__(
        self,
        n_components: int = 100,
        *,
        sparseness_of_code: float | None = None,
        sparseness_of_atoms: float | None = None,
        code_sparseness_per: str = "unit",
        max_iter: int = 400,
        tol: float = 1e-4,
        n_init: int = 1,
        n_final: int = 3,
        random_state: int | np.random.RandomState | None = None,
        device: str | torch.device | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.sparseness_of_code = sparseness_of_code
        self.sparseness_of_atoms = sparseness_of_atoms
        self.code_sparseness_per = code_sparseness_per
        self.max_iter = max_iter
        self.tol = tol
        self.n_init = n_init
        self.n_final = n_final
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
        self._check_arguments()
        data = self._tensor(images, reset=True)
        generator = check_random_state(self.random_state)
        starts = (self._start(data, generator) for _ in range(self.n_init))
        fits = race(list(starts), self.n_final, self.max_iter, self.tol, verbose=self.verbose)
        if self.tol > 0 and not all(fit.is_settled(self.tol) for fit in fits):
            warnings.warn(f"max_iter={self.max_iter} came before tol={self.tol}", ConvergenceWarning, stacklevel=2)
        best = fits[0]
        code, atoms = best.code, best.atoms
        if not self._is_sparse_per_image:
            transposed, code = balance(atoms.T, code.T)
            atoms, code = transposed.T / len(data) ** 0.5, code.T * len(data) ** 0.5
        if self.sparseness_of_code is None or self._is_sparse_per_image:
            code = self._encode(data, atoms)
        self.components_ = _like(atoms, images)
        self.objective_history_ = best.history
        self.n_iter_ = len(best.history) - 1
        self.stability_ = self.consensus_ = None
        if len(fits) > 1:
            pairs = itertools.combinations([fit.atoms for fit in fits], 2)
            self.stability_ = float(np.mean([stability(*pair).item() for pair in pairs]))
            cosines = torch.stack([part_recovery(fit.atoms, best.atoms) for fit in fits[1:]])
            self.consensus_ = _like(cosines.mean(dim=0), images)
        self.reconstruction_err_ = math.sqrt(2 * half_squared_error(data, code, atoms))
        return _like(code, images)

    @torch.no_grad()
    def transform(self, images: Array) -> Array:
        """The code (N, K) with the least error for the learned atoms; it keeps a sparseness that is per image."""
        check_is_fitted(self)
        data = self._tensor(images, reset=False)
        return _like(self._encode(data, as_tensor(self.components_).to(data)), images)

    def inverse_transform(self, code: Array) -> Array:
        """The images (N, F) of a code (N, K)."""
        check_is_fitted(self)
        given, atoms = as_tensor(code), as_tensor(self.components_)
        given = given if given.is_floating_point() else given.to(atoms.dtype)
        return _like(given @ atoms.to(given), code)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    @property
    def _is_sparse_per_image(self) -> bool:
        return self.sparseness_of_code is not None and self.code_sparseness_per == "image"

    def _check_arguments(self) -> None:
        whole("n_components", self.n_components)
        whole("max_iter", self.max_iter)
        real("tol", self.tol, low=0)
        one_of("code_sparseness_per", self.code_sparseness_per, ("unit", "image"))
        whole("n_init", self.n_init)
        whole("n_final", self.n_final)
        for key in ("sparseness_of_code", "sparseness_of_atoms"):
            if (value := getattr(self, key)) is not None:
                real(key, value, low=0, high=1)

    def _encode(self, data: Tensor, atoms: Tensor) -> Tensor:
        """The code (N, K) of data (N, F), a batch of images at a time."""
        batches, sparseness = torch.split(data, BATCH), self.sparseness_of_code
        if sparseness is not None and self._is_sparse_per_image:
            return torch.cat([sparse_least_squares(batch, atoms, float(sparseness)) for batch in batches])
        gram = atoms @ atoms.T
        return torch.cat([nonnegative_least_squares(gram, batch @ atoms.T) for batch in batches])

    def _start(self, data: Tensor, generator: np.random.RandomState) -> Fit:
        """A fit of absolute values of normal numbers, of a size that makes products as large as the images on average.

        They are drawn alike on every device.
        """
        n_components = int(self.n_components)
        scale = float((data.mean(dtype=torch.float64) / n_components).sqrt())
        code, atoms = (
            torch.from_numpy(np.abs(scale * generator.standard_normal(shape))).to(data)
            for shape in ((len(data), n_components), (n_components, data.shape[1]))
        )
        code *= (data > 0).any(dim=1, keepdim=True)
        sparseness = self.sparseness_of_code, self.sparseness_of_atoms
        return Fit(Alternation(*sparseness, per_image=self._is_sparse_per_image), data, code, atoms)

    def _tensor(self, images: NDArray[Any] | Tensor, *, reset: bool) -> Tensor:
        """Images (N, F), validated by scikit-learn, on the device to compute on."""
        array = images.detach().cpu().numpy() if isinstance(images, Tensor) else images
        array = validate_data(self, array, reset=reset, dtype=[np.float64, np.float32], ensure_non_negative=True)
        return as_tensor(array).to(self.device or (images.device if isinstance(images, Tensor) else "cpu"))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _like(result: Tensor, given: Array) -> Array:
    """The result as the kind of array that was given, on the device of that."""
    kind: NDArray[Any] | Tensor = given
    return cast("Array", result.to(kind.device) if isinstance(kind, Tensor) else result.cpu().numpy())
