"""How far a reconstruction is from its images."""

from __future__ import annotations

from torch import Tensor
from torchmetrics import MeanMetric


def reconstruction_error(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Squared difference of each image, mean over its pixels: (B, C, H, W) twice -> (B,), at least 0; lower is better.

    >>> import torch
    >>> reconstruction_error(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5))
    tensor([0.2500])
    """
    return (reconstruction - images).square().flatten(1).mean(dim=1)


class ReconstructionError(MeanMetric):
    """Mean of `reconstruction_error` over all images."""

    def update(self, reconstruction: Tensor, images: Tensor) -> None:  # type: ignore[override]
        """Add images (B, C, H, W) and their reconstructions (B, C, H, W)."""
        super().update(reconstruction_error(reconstruction, images))
