"""The code and the atoms that a factorization starts from."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from partae.checks import InputError


def random(images: Tensor, n_components: int, generator: np.random.RandomState) -> tuple[Tensor, Tensor]:
    """Absolute values of normal numbers, of a size that makes the products as large as the images on average.

    Args:
        images: (N, F), at least 0.
        n_components: K.
        generator: drawn from alike on every device.

    Returns:
        A code (N, K) and atoms (K, F), at least 0.
    """
    scale = float((images.mean(dtype=torch.float64) / n_components).sqrt())
    code, atoms = (
        torch.from_numpy(np.abs(scale * generator.standard_normal(shape))).to(images)
        for shape in ((len(images), n_components), (n_components, images.shape[1]))
    )
    return code, atoms


def nndsvd(images: Tensor, n_components: int, generator: np.random.RandomState) -> tuple[Tensor, Tensor]:
    """The non-negative half of each singular pair, zeros filled with the mean: a multiplicative update leaves 0 at 0.

    Args:
        images: (N, F), at least 0.
        n_components: K, at most min(N, F).
        generator: of the randomized singular value decomposition.

    Returns:
        A code (N, K) and atoms (K, F), at least 0.

    Raises:
        InputError: if K is larger than min(N, F).

    Source: Boutsidis and Gallopoulos, *SVD based initialization: a head start for nonnegative matrix factorization*,
    Pattern Recognition 41 (2008), variant NNDSVDa.
    """
    if n_components > min(images.shape):
        raise InputError(
            f"init='nndsvd' needs n_components of at most {min(images.shape)}, the smaller side of the images; "
            f"got {n_components}"
        )
    svd = randomized_svd(images.cpu().numpy(), n_components, random_state=generator)
    left, values, right = (torch.from_numpy(np.ascontiguousarray(part)).to(images) for part in svd)
    halves = (
        torch.stack([left.clamp(min=0), (-left).clamp(min=0)]),
        torch.stack([right.clamp(min=0), (-right).clamp(min=0)]),
    )
    norms = halves[0].norm(dim=1), halves[1].norm(dim=2)
    size, sign = (norms[0] * norms[1]).max(dim=0)
    pair = torch.arange(n_components, device=images.device)
    scale = (values * size).sqrt()
    tiny = torch.finfo(images.dtype).tiny
    code = halves[0][sign, :, pair].T * (scale / norms[0][sign, pair].clamp(min=tiny))
    atoms = halves[1][sign, pair] * (scale / norms[1][sign, pair].clamp(min=tiny))[:, None]
    mean = images.mean()
    return torch.where(code > 0, code, mean), torch.where(atoms > 0, atoms, mean)
