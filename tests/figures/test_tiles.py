from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from partae import figures


def pixels(figure: Figure) -> np.ndarray:
    (image,) = figure.axes[0].get_images()
    assert isinstance(image, AxesImage)
    array = image.get_array()
    assert array is not None
    return np.asarray(array)


def test_image_rows_shows_each_image_in_its_place_and_names_rows_and_columns() -> None:
    first, second = np.zeros((2, 1, 14, 14)), np.full((2, 1, 14, 14), 0.25)
    second[1] = 1.7  # beyond white
    figure = figures.image_rows({"original": first, "copy": second}, ["Coat", "Bag"])
    shown = pixels(figure)
    assert shown.shape == (29, 29, 3)
    assert shown[:14, :14].max() == 0
    np.testing.assert_allclose(shown[15:, :14], 0.25, atol=0.003)
    assert shown[15:, 15:].min() == 1
    assert 0.5 < shown[14].min() == shown[14].max() < 0.9  # the gap
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["original", "copy"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Coat", "Bag"]


def test_each_atom_has_its_own_scale_and_a_dead_one_is_black() -> None:
    atoms = np.zeros((3, 1, 14, 14))
    atoms[0, 0, 0, 0], atoms[1, 0, 0, 0] = 1, 50
    shown = pixels(figures.atoms(atoms))
    assert shown[0, 0].min() == shown[0, 15].min() == 1
    assert shown[:, 30:].max() == 0


def test_negative_atoms_are_told_from_positive_ones_by_colour() -> None:
    atoms = np.zeros((1, 1, 14, 14))
    atoms[0, 0, 0, 0], atoms[0, 0, 0, 1] = -1, 1
    blue, red, zero = pixels(figures.atoms(atoms))[0, :3]
    assert blue[2] > blue[0]
    assert red[0] > red[2]
    assert np.ptp(zero) < 0.02


def test_colour_images_stay_in_colour() -> None:
    images = np.zeros((1, 3, 4, 4))
    images[0, 1] = 1
    assert pixels(figures.image_rows({"green": images}, ["one"]))[0, 0].tolist() == [0, 1, 0]


def test_atom_rows_show_each_model_in_a_row() -> None:
    weak, strong = np.full((2, 1, 14, 14), 0.1), np.full((2, 1, 14, 14), 9.0)
    figure = figures.atom_rows({"weak": weak, "strong": strong})
    assert pixels(figure).shape == (29, 29, 3)
    assert pixels(figure)[:14, :14].min() == pixels(figure)[15:, 15:].min() == 1
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["weak", "strong"]


def test_atom_grids_show_all_atoms_of_each_model_in_a_square() -> None:
    few, many = np.full((4, 1, 14, 14), 0.1), np.full((9, 1, 14, 14), 9.0)
    left, right = figures.atom_grids({"few": few, "many": many}).axes
    assert [axes.get_title() for axes in (left, right)] == ["few", "many"]
    assert [axes.images[0].get_array().shape for axes in (left, right)] == [(29, 29, 3), (44, 44, 3)]  # type: ignore[union-attr]


def test_an_atom_that_is_nearly_0_is_dark() -> None:
    atoms = np.ones((2, 1, 3, 3)) * np.array([1.0, 1e-4]).reshape(2, 1, 1, 1)
    bright, dark = figures.scaled_each(atoms)
    assert (bright.max(), dark.max()) == (1.0, pytest.approx(0.01, abs=0.01))


def test_a_negative_value_of_rounding_gives_no_colour() -> None:
    atoms = np.array([[[[1.0, -1e-9]]], [[[0.5, 0.0]]]])
    assert all((tile[..., :1] == tile).all() for tile in figures.scaled_each(atoms))
