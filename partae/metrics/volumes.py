"""Sums over the pixels of operated images, from codes alone: K multiplications an image and a radius."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LinearRegression

from partae.checks import InputError
from partae.metrics.calibration import BATCH
from partae.morphology import Array, Operator, operate
from partae.representation import Representation, as_tensor

IMAGES_AN_ATOM = 10  # with fewer, the fit does not hold for other images


class Granulometry:
    r"""Estimates the volume, the sum over all pixels, of images opened by disks; fitted once, for one model.

    The volume by the disk of radius r is taken for linear in the code h, with weights of least squares:

    .. math:: V_r(x) \approx c_r + \sum_{j=1}^{K} h_j \, v_{rj}

    Where atoms lie far apart in every image and the decoder is linear, :math:`v_{rj}` is the volume of the opened atom,
    and the estimate is exact. Elsewhere it is not: docs/when.md tells how far off it is. It can be a little below 0.
    The mean of the estimates is the estimate for the mean code.

    Args:
        model: any representation; it is not changed.
        training: images of its training, (N, C, H, W) in [0, 1], at least ten an atom; never those to be measured.
        radii: R of them, in pixels, at least 0.
        operator: opening, closing (for dark instead of bright structures), or another name that `Operator` takes.

    Attributes:
        weights: v, (R, K).
        constants: c, (R,).

    Raises:
        InputError: if there are too few images, they are not in [0, 1], or there is no radius or no such operator.

    Source: Maragos, *Pattern spectrum and multiscale shape representation*, IEEE TPAMI 11 (1989).
    """

    def __init__(self, model: Representation, training: Array, radii: Sequence[int], operator: str = "opening") -> None:
        operators = [Operator(operator, radius) for radius in radii]
        atoms = len(model.atoms)
        if not operators:
            raise InputError("granulometry needs at least one radius; got none")
        if len(training) < IMAGES_AN_ATOM * atoms:
            raise InputError(
                f"granulometry needs {IMAGES_AN_ATOM * atoms} training images for {atoms} atoms; got {len(training)}"
            )
        self.model = model
        images = as_tensor(training).to(model.atoms)
        mode = model.training
        model.eval()  # batch norm would learn from them
        with torch.no_grad():
            code = torch.cat([model.encode(batch) for batch in images.split(BATCH)])
        model.train(mode)
        with torch.enable_grad():  # which chooses the operators that are fast for large disks
            volumes = torch.cat([operate(images, [each]).sum(dim=(2, 3, 4)) for each in operators], dim=1)
        fit = LinearRegression().fit(code.cpu().double().numpy(), volumes.cpu().double().numpy())
        self.weights = torch.from_numpy(fit.coef_).to(model.atoms)
        self.constants = torch.from_numpy(fit.intercept_).to(model.atoms)

    def __call__(self, images: Array) -> Array:
        """The volumes (B, R) of images (B, C, H, W) with values in [0, 1], as the same kind of array."""
        return self.of_code(self.model.encode(images))

    def of_code(self, code: Array) -> Array:
        """The volumes (B, R) of the images that have the code (B, K), as the same kind of array.

        Raises:
            InputError: if the code is of another shape.
        """
        given = torch.as_tensor(code).to(self.weights)
        atoms = self.weights.shape[1]
        if given.ndim != 2 or given.shape[1] != atoms:
            raise InputError(f"granulometry needs a code of shape (B, {atoms}); got {tuple(given.shape)}")
        volumes = torch.addmm(self.constants, given, self.weights.T)
        return volumes.cpu().numpy() if isinstance(code, np.ndarray) else volumes


def granulometry(
    model: Representation, images: Array, radii: Sequence[int], *, training: Array, operator: str = "opening"
) -> Array:
    """The estimated volumes (B, R) of images (B, C, H, W) opened by disks of R radii: a `Granulometry` used once.

    The pattern spectrum is ``-np.diff(volumes, axis=1)`` of the volumes by the radii 0, 1, 2 and so on.
    """
    return Granulometry(model, training, radii, operator)(images)
