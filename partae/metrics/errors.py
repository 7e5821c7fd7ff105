"""How far a reconstruction is from its images."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


def reconstruction_error(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Squared difference of each image, mean over its pixels: (B, C, H, W) twice -> (B,), at least 0; lower is better.

    >>> reconstruction_error(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5))
    tensor([0.2500])
    """
    return (reconstruction - images).square().flatten(1).mean(dim=1)


def explained_variance(reconstruction: Tensor, images: Tensor) -> Tensor:
    r"""Share of the images' variance that is explained: (B, C, H, W) twice -> scalar, at most 1; higher is better.

    .. math:: 1 - \frac{\sum_i \|x_i - \hat{x}_i\|^2}{\sum_i \|x_i - \bar{x}\|^2}

    1 when the reconstruction is exact, 0 when it is no better than the mean image :math:`\bar{x}`, and below 0 when it
    is worse. The R² score of scikit-learn with `multioutput="variance_weighted"`; unlike its
    `explained_variance_score` it does not forgive a constant offset. For PCA on its own training images it is the sum
    of the explained variance ratios. Images that are all the same have nothing to explain: 1 if the reconstruction is
    exact, else 0.

    >>> images = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1)
    >>> explained_variance(torch.tensor([0.0, 0.5]).reshape(2, 1, 1, 1), images)
    tensor(0.5000)
    """
    error, mean = (images - reconstruction).square().sum(), images.mean(dim=0, dtype=torch.float64)
    return _explained(error, (images - mean).square().sum(), images.square().sum(dtype=torch.float64)).to(error)


def _explained(error: Tensor, variance: Tensor, squares: Tensor) -> Tensor:
    """1 - error / variance; where the variance is what rounding leaves of the squares, whether the error is 0."""
    return torch.where(variance > squares * 1e-14, 1 - error / variance, (error == 0).to(variance))


class ExplainedVariance(Metric):
    """`explained_variance` over all images, which must have one size."""

    full_state_update = False
    higher_is_better = True
    error: Tensor
    total: Tensor
    squares: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        # in double precision: the variance is a small difference of two large sums
        for name in ("error", "total", "squares"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, reconstruction: Tensor, images: Tensor) -> None:
        """Add images (B, C, H, W) and their reconstructions (B, C, H, W)."""
        images = images.double()
        self.error = self.error + (images - reconstruction).square().sum()
        self.total = self.total + images.sum(dim=0)  # from the first images on, (C, H, W)
        self.squares = self.squares + images.square().sum()
        self.count = self.count + len(images)

    def compute(self) -> Tensor:
        """The explained variance, a scalar."""
        variance = self.squares - self.total.square().sum() / self.count
        return _explained(self.error, variance, self.squares).float()
