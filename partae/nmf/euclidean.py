"""Half the squared error of images against the product of code and atoms, with or without sparseness."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from partae.nmf.least_squares import nonnegative_least_squares
from partae.nmf.updates import ProjectedGradient, Update, multiplicative
from partae.projection import hoyer, nonnegative, unit_norm

# Steps on one factor share the product with the images, which costs most: more than one of them is nearly free.
CODE_STEPS = 3
ATOM_STEPS = 10
FREE_ITERATIONS = 5  # before the constraints
BATCH = 8192  # images whose residual is formed at once, where it has to be
SETTLED = 1e-6  # fall of an image's error in one step, relative to its squared norm, at which its code is done
MAX_STEPS = 100  # for a code of a given sparseness


class Euclidean:
    """Projected gradient on a factor with a sparseness, Lee and Seung's multiplicative update on one without.

    Images are (N, F), codes (N, K), atoms (K, F); all at least 0. Scaling a unit's code up and its atom down changes no
    error. Steps on the code find atoms of norm 1, which condition its gradient well. Where the code of each image has
    a sparseness, that scale is not free: atoms are constrained to norm 1, so that its entries can be compared.

    Args:
        sparseness_of_code: of each unit over the images, or of each image over the units; None leaves it free.
        sparseness_of_atoms: of each atom; None leaves it free.
        per_image: which of the two the sparseness of the code means.
    """

    def __init__(self, sparseness_of_code: float | None, sparseness_of_atoms: float | None, *, per_image: bool) -> None:
        self.sparseness_of_image = sparseness_of_code if per_image else None
        self.update_code: Update = multiplicative
        self.update_atoms: Update = multiplicative
        if self.sparseness_of_image is not None:
            self.update_code = _sparse_rows(self.sparseness_of_image)
            self.update_atoms = _columns(lambda code: unit_norm(nonnegative(code)))
        elif sparseness_of_code is not None:
            self.update_code = _columns(lambda units: hoyer(units, sparseness_of_code))
        if sparseness_of_atoms is not None:
            norm = None if self.sparseness_of_image is None else 1.0
            self.update_atoms = _columns(lambda atoms: hoyer(atoms, sparseness_of_atoms, norm))

    def start(self, images: Tensor, code: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
        """Code and atoms that keep the constraints, from any: the nearest ones after a few steps without constraints.

        Random factors cut to a high sparseness at once leave images that no unit speaks of, and that none ever will.
        """
        if isinstance(self.update_code, ProjectedGradient) or isinstance(self.update_atoms, ProjectedGradient):
            free = Euclidean(None, None, per_image=False)
            for _ in range(FREE_ITERATIONS):
                code, atoms, _ = free.step(images, code, atoms, 0)
        return self.constrained(*balanced(code, atoms))

    def constrained(self, code: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest code and atoms that keep the constraints."""
        if isinstance(self.update_code, ProjectedGradient):
            code = self.update_code.project(code)
        if isinstance(self.update_atoms, ProjectedGradient):
            atoms = self.update_atoms.project(atoms.T).T
        return code, atoms

    def value(self, images: Tensor, code: Tensor, atoms: Tensor) -> float:
        """Half the squared error, at least 0; lower is better."""
        pairs = zip(torch.split(images, BATCH), torch.split(code, BATCH), strict=True)
        errors = [torch.addmm(batch, part, atoms, beta=-1).square().sum(dtype=torch.float64) for batch, part in pairs]
        return float(sum(errors)) / 2

    def step(self, images: Tensor, code: Tensor, atoms: Tensor, value: float) -> tuple[Tensor, Tensor, float]:
        """A few steps on the code, then on the atoms, and half the squared error after them, from that before."""
        if self.sparseness_of_image is None:
            code, atoms = balanced(code, atoms)
        code, value = self.improve_code(images, code, atoms, value)
        atoms, value = self.improve_atoms(atoms, code.T @ code, code.T @ images, value)
        return code, atoms, value

    def improve_code(self, images: Tensor, code: Tensor, atoms: Tensor, value: float) -> tuple[Tensor, float]:
        """A few steps on the code, and half the squared error after them, from that before."""
        gram, cross = atoms @ atoms.T, images @ atoms.T
        for _ in range(CODE_STEPS):
            code, changes = self.update_code(code, gram, cross)
            fall = float(changes.sum())
            value += fall
            if fall == 0:
                break
        return code, value

    def improve_atoms(self, atoms: Tensor, gram: Tensor, cross: Tensor, value: float) -> tuple[Tensor, float]:
        """The same for the atoms, from products of the code with itself (K, K) and with the images (K, F)."""
        columns, cross = atoms.T, cross.T
        for _ in range(ATOM_STEPS):
            columns, changes = self.update_atoms(columns, gram, cross)
            fall = float(changes.sum())
            value += fall
            if fall == 0:
                break
        return columns.T, value

    def encode(self, images: Tensor, atoms: Tensor) -> Tensor:
        """The code with the least error for fixed atoms; a sparseness holds if it is meant for each image.

        With a sparseness the problem has many minima: this is the one that projected gradient steps reach from the
        projection of the code without.
        """
        gram, cross = atoms @ atoms.T, images @ atoms.T
        code = nonnegative_least_squares(gram, cross)
        if self.sparseness_of_image is None:
            return code
        update = _sparse_rows(self.sparseness_of_image)
        code = update.project(code)
        least = SETTLED * images.square().sum(dim=1, keepdim=True)
        settled = torch.zeros_like(least, dtype=torch.bool)
        for _ in range(MAX_STEPS):
            improved, changes = update(code, gram, cross)
            code = torch.where(settled, code, improved)
            settled |= (changes < 0) & (changes >= -least)
            if settled.all():
                break
        return code


def balanced(code: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
    """The same product with atoms of norm 1: (N, K), (K, F) -> (N, K), (K, F); an atom of zeros stays so."""
    norms = atoms.norm(dim=1)
    norms = torch.where(norms > 0, norms, 1)
    return code * norms, atoms / norms[:, None]


def _sparse_rows(sparseness: float) -> ProjectedGradient:
    return ProjectedGradient(lambda code: hoyer(code, sparseness), per="row")


def _columns(project: Callable[[Tensor], Tensor]) -> ProjectedGradient:
    return ProjectedGradient(lambda factor: project(factor.T).T, per="column")
