"""Decay of the atoms: atoms (K, C, H, W) -> scalar."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from partae.checks import real
from partae.printed import Printed


class NoDecay(nn.Module):
    """No penalty on the atoms."""

    def forward(self, atoms: Tensor) -> Tensor:
        """Zero, for any atoms (K, C, H, W)."""
        return atoms.new_zeros(())


class AsymmetricDecay(Printed):
    r"""A cost of each value of the atoms, which is ``alpha`` times as high for values at or above 0.

    .. math:: \lambda \sum_w c(w) \cdot \begin{cases} \alpha & w \ge 0 \\ 1 & w < 0 \end{cases}

    Args:
        lambda_: weight in the loss, at least 0.
        alpha: share of the cost that values at or above 0 pay, at least 0: 1 makes the decay symmetric, 0 leaves them
            free.

    Raises:
        InputError: if an argument is out of range.
    """

    lambda_: Tensor
    alpha: Tensor

    def __init__(self, lambda_: float = 0.001, alpha: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("lambda_", torch.tensor(real("decay.lambda_", lambda_, low=0)))
        self.register_buffer("alpha", torch.tensor(real("decay.alpha", alpha, low=0)))

    def cost(self, atoms: Tensor) -> Tensor:
        """The cost of each value before the asymmetry, at least 0: any shape -> the same shape."""
        raise NotImplementedError

    def forward(self, atoms: Tensor) -> Tensor:
        """Penalty of atoms (K, C, H, W), a scalar."""
        return self.lambda_ * (torch.where(atoms < 0, 1, self.alpha) * self.cost(atoms)).sum()


class AsymmetricL2(AsymmetricDecay):
    r"""Half the square: :math:`c(w) = w^2 / 2`, whose gradient with ``alpha = 1`` is plain weight decay.

    The published text has no half: its weight is half of ``lambda_``.

    Source: Lemme, Reinhart and Steil, *Online learning and generalization of parts-based image representations by
    non-negative sparse autoencoders*, Neural Networks 33 (2012); for ``alpha = 0``, Hosseini-Asl, Zurada and Nasraoui,
    *Deep learning of part-based representation of data using sparse autoencoders with nonnegativity constraints*, IEEE
    TNNLS 27 (2016).

    >>> AsymmetricL2(lambda_=1.0, alpha=0.5)(torch.tensor([-2.0, 2.0]))
    tensor(3.)
    """

    def cost(self, atoms: Tensor) -> Tensor:
        return atoms.square() / 2


class AsymmetricL1(AsymmetricDecay):
    r"""The absolute value, in place of the square of `AsymmetricL2`: :math:`c(w) = |w|`.

    >>> AsymmetricL1(lambda_=1.0, alpha=0.5)(torch.tensor([-2.0, 2.0]))
    tensor(3.)
    """

    def cost(self, atoms: Tensor) -> Tensor:
        return atoms.abs()


class AsymmetricL1L2(AsymmetricDecay):
    r"""The absolute value, smoothed within ``kappa`` of 0, plus half the square.

    .. math::
        c(w) = \frac{w^2}{2} +
        \begin{cases} |w| - \kappa / 2 & |w| > \kappa \\ w^2 / (2 \kappa) & |w| \le \kappa \end{cases}

    The source adds the constant :math:`\kappa / 2`; here 0 costs nothing.

    Args:
        lambda_: weight in the loss, at least 0.
        alpha: share of the cost that values at or above 0 pay, at least 0.
        kappa: width of the smoothing, above 0.

    Raises:
        InputError: if an argument is out of range.

    Source: Ayinde and Zurada, *Deep learning of constrained autoencoders for enhanced understanding of data*, IEEE
    TNNLS 29 (2018).
    """

    kappa: Tensor

    def __init__(self, lambda_: float = 0.001, alpha: float = 0.0, kappa: float = 0.1) -> None:
        super().__init__(lambda_, alpha)
        self.register_buffer("kappa", torch.tensor(real("decay.kappa", kappa, low=0, low_open=True)))

    def cost(self, atoms: Tensor) -> Tensor:
        size = atoms.abs()
        smoothed = torch.where(size > self.kappa, size - self.kappa / 2, atoms.square() / (2 * self.kappa))
        return smoothed + atoms.square() / 2


class L2(AsymmetricL2):
    """Plain weight decay: `AsymmetricL2` with ``alpha = 1``."""

    def __init__(self, lambda_: float = 0.00001) -> None:
        super().__init__(lambda_, alpha=1.0)


class L1(AsymmetricL1):
    """Plain L1 decay: `AsymmetricL1` with ``alpha = 1``."""

    def __init__(self, lambda_: float = 0.00001) -> None:
        super().__init__(lambda_, alpha=1.0)
