from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.metrics import mean_squared_error

from partae import AutoEncoder
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.metrics import measure, reconstruction_error


def test_reconstruction_error_equals_scikit_learn() -> None:
    images, reconstruction = torch.rand(6, 2, 5, 5), torch.rand(6, 2, 5, 5)
    expected = mean_squared_error(images.flatten(), reconstruction.flatten())
    assert reconstruction_error(reconstruction, images).mean().item() == pytest.approx(expected)


def test_all_measures_equal_their_definitions_in_numpy() -> None:
    model = AutoEncoder(Dense((1, 8, 8), 5), Dictionary((1, 8, 8), 5)).eval()
    images = torch.rand(23, 1, 8, 8)
    measures = measure(model, [(batch, torch.zeros(len(batch))) for batch in images.split(10)])

    cross = ndimage.generate_binary_structure(2, 1)

    def dilated(array: np.ndarray) -> np.ndarray:
        return np.stack([ndimage.grey_dilation(image[0], footprint=cross)[None] for image in array])

    def decoded(atoms: np.ndarray) -> np.ndarray:
        linear = code @ atoms.reshape(5, 64) + model.decoder.bias.detach().numpy().ravel()
        return np.where(linear > 0, linear, 0.1 * linear).reshape(-1, 1, 8, 8)

    code, atoms = model.encode(images).detach().numpy(), model.atoms.detach().numpy()
    approximation, reconstruction = decoded(dilated(atoms)), decoded(atoms)
    ratio = np.abs(code).sum(axis=1) / np.sqrt((code**2).sum(axis=1))
    expected = {
        "reconstruction_error": ((reconstruction - images.numpy()) ** 2).mean(),
        "hoyer_sparsity": ((np.sqrt(5) - ratio) / (np.sqrt(5) - 1)).mean(),
        "max_approximation_error": ((approximation - dilated(images.numpy())) ** 2).mean(),
        "max_approximation_error_of_reconstruction": ((approximation - dilated(reconstruction)) ** 2).mean(),
        "dead_atoms": (code.max(axis=0) <= 0.01 * code.max()).sum(),
        "mean_activation": code.mean(),
    }
    assert measures == pytest.approx(expected, rel=1e-5)
