"""Steps on the code and on the atoms in turn, by which half the squared error falls."""

from __future__ import annotations

import torch
from torch import Tensor

from partae.nmf.updates import ProjectedGradient, Update, multiplicative, sparse_columns, sparse_rows
from partae.projection import nonnegative, unit_norm

# Steps on one factor share the product with the images, which costs most: more than one of them is nearly free.
CODE_STEPS = 3
ATOM_STEPS = 10
FREE_ITERATIONS = 5  # before the constraints
BATCH = 8192  # images whose residual is formed at once


class Alternation:
    """Projected gradient on a factor with a sparseness, Lee and Seung's multiplicative update on one without.

    Images are (N, F), codes (N, K), atoms (K, F); all at least 0. Scaling a unit's code up and its atom down changes no
    error. Steps on the code find atoms of norm 1, which condition its gradient well. Where the code of each image has
    a sparseness, that scale is not free: atoms are constrained to norm 1, so that its entries can be compared.

    Args:
        sparseness_of_code: of each unit over the images, or of each image over the units; None leaves it free.
        sparseness_of_atoms: of each atom; None leaves it free.
        per_image: which of the two the sparseness of the code means.
    """

    def __init__(
        self,
        sparseness_of_code: float | None = None,
        sparseness_of_atoms: float | None = None,
        *,
        per_image: bool = False,
    ) -> None:
        self.per_image = per_image and sparseness_of_code is not None
        self.update_code: Update = multiplicative
        self.update_atoms: Update = multiplicative
        if self.per_image:
            self.update_atoms = ProjectedGradient(lambda columns: unit_norm(nonnegative(columns.T)).T, per="column")
        if sparseness_of_code is not None:
            self.update_code = sparse_rows(sparseness_of_code) if per_image else sparse_columns(sparseness_of_code)
        if sparseness_of_atoms is not None:
            self.update_atoms = sparse_columns(sparseness_of_atoms, norm=1.0 if self.per_image else None)

    def start(self, images: Tensor, code: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
        """The code and atoms to start from: the nearest ones that keep the constraints, after a few free steps.

        Projecting random factors on a high sparseness at once would leave images that no unit ever responds to.
        """
        if isinstance(self.update_code, ProjectedGradient) or isinstance(self.update_atoms, ProjectedGradient):
            free = Alternation()
            for _ in range(FREE_ITERATIONS):
                code, atoms, _ = free.step(images, code, atoms)
        code, atoms = balance(code, atoms)
        if isinstance(self.update_code, ProjectedGradient):
            code = self.update_code.project(code)
        if isinstance(self.update_atoms, ProjectedGradient):
            atoms = self.update_atoms.project(atoms.T).T
        return code, atoms

    def step(self, images: Tensor, code: Tensor, atoms: Tensor, value: float = 0.0) -> tuple[Tensor, Tensor, float]:
        """A few steps on the code, then on the atoms.

        Args:
            images: (N, F).
            code: (N, K).
            atoms: (K, F).
            value: half the squared error, of which the falls are taken off.

        Returns:
            The code, the atoms and the value after the steps.
        """
        if not self.per_image:
            code, atoms = balance(code, atoms)
        code, value = _descend(self.update_code, code, atoms @ atoms.T, images @ atoms.T, value, CODE_STEPS)
        products = code.T @ code, (code.T @ images).T
        columns, value = _descend(self.update_atoms, atoms.T, *products, value, ATOM_STEPS)
        return code, columns.T, value


def half_squared_error(images: Tensor, code: Tensor, atoms: Tensor) -> float:
    """Half the squared error of images (N, F) against code (N, K) times atoms (K, F), at least 0."""
    batches = zip(torch.split(images, BATCH), torch.split(code, BATCH), strict=True)
    errors = [torch.addmm(batch, rows, atoms, beta=-1).square().sum(dtype=torch.float64) for batch, rows in batches]
    return float(sum(errors)) / 2


def balance(code: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
    """The same product with atoms of norm 1: (N, K), (K, F) -> (N, K), (K, F); an atom of zeros stays so."""
    norms = atoms.norm(dim=1)
    norms = torch.where(norms > 0, norms, 1)
    return code * norms, atoms / norms[:, None]


def _descend(
    update: Update, factor: Tensor, gram: Tensor, cross: Tensor, value: float, steps: int
) -> tuple[Tensor, float]:
    """At most so many steps on ``factor``, and the ``value`` less their falls; a step without a fall is the last."""
    for _ in range(steps):
        factor, changes = update(factor, gram, cross)
        fall = float(changes.sum())
        value += fall
        if fall == 0:
            break
    return factor, value
