"""A module of another library as a model: its ``encode`` codes, and atoms and a bias decode as its ``decode`` does."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from partae.checks import InputError
from partae.decoder import Dictionary
from partae.model.factorization import Factorization

Matrix = NDArray[Any]


class Adapter(nn.Module):
    """A coder by the ``encode`` of a module, and the module in the manner of a fitted scikit-learn estimator.

    Args:
        module: with ``encode``, images (B, F) -> code (B, K), and ``decode``, code -> images (B, F).
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module: Any = module

    def forward(self, images: Tensor, atoms: Tensor, bias: Tensor) -> Tensor:
        """Code (B, K) of images (B, C, H, W)."""
        return self.module.encode(images.flatten(1))

    def fit(self, images: Matrix) -> Adapter:
        """Change nothing."""
        return self

    @torch.no_grad()
    def transform(self, images: Matrix) -> Matrix:
        """Code (N, K) of images (N, F)."""
        return self.module.encode(torch.from_numpy(images).float()).numpy()

    @torch.no_grad()
    def inverse_transform(self, code: Matrix) -> Matrix:
        """Images (N, F) of a code (N, K)."""
        return self.module.decode(torch.from_numpy(code).float()).numpy()


def adapt(module: nn.Module, images: Tensor) -> Factorization:
    """A trained ``module`` of another library as a model, which `partae.saving.export` can write for evaluate.py.

    Its class must keep each constructor argument as an attribute of the same name; `partae.load` then needs
    ``trust=`` for its package.

    Args:
        module: with ``encode``, images (B, F) -> code (B, K), and a linear ``decode``, code -> images (B, F); in
            single precision and on the CPU.
        images: of the kind that it was trained on, (N, C, H, W) in [0, 1]; by 100 of them its reconstruction is
            compared.

    Raises:
        InputError: if it does not code, or no atoms and bias decode as it does.
    """
    adapter = Adapter(module.eval().requires_grad_(False))
    code = adapter.module.encode(images[:1].flatten(1))
    if not (isinstance(code, Tensor) and code.ndim == 2):
        raise InputError(
            f"encode of {type(module).__name__} must give a code (B, K); got a {type(code).__name__}: write a class "
            "around it whose encode does"
        )
    model = Factorization(adapter, Dictionary(images.shape[1:], code.shape[1], "identity"), adapter)
    try:
        model.fit(images)
    except InputError as error:
        raise InputError(f"{type(module).__name__} cannot be a model of partae: {error}") from error
    model.estimator = None  # it is the encoder already
    return model.eval()
