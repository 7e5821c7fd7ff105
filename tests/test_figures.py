from __future__ import annotations

from pathlib import Path

import matplotlib
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
    assert shown[14].min() == 1  # the gap
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["original", "copy"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Coat", "Bag"]


def test_each_atom_has_its_own_scale_and_a_dead_one_is_black() -> None:
    atoms = np.zeros((3, 1, 14, 14))
    atoms[0, 0, 0, 0], atoms[1, 0, 0, 0] = 0.001, 50
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


def test_code_histograms_count_every_entry_and_mark_the_largest() -> None:
    code = np.linspace(0, 0.9, 50).reshape(1, 50)
    axes = figures.code_histograms({"model": code}, ["Coat"]).axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == 50  # type: ignore[attr-defined]
    assert axes.lines[0].get_xdata()[0] == 0.9  # type: ignore[index]


def test_atom_rows_show_each_model_in_a_row() -> None:
    weak, strong = np.full((2, 1, 14, 14), 0.1), np.full((2, 1, 14, 14), 9.0)
    figure = figures.atom_rows({"weak": weak, "strong": strong})
    assert pixels(figure).shape == (29, 29, 3)
    assert pixels(figure).min() == 1
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["weak", "strong"]


def test_atom_grids_show_all_atoms_of_each_model_in_a_square() -> None:
    few, many = np.full((4, 1, 14, 14), 0.1), np.full((9, 1, 14, 14), 9.0)
    left, right = figures.atom_grids({"few": few, "many": many}).axes
    assert [axes.get_title() for axes in (left, right)] == ["few", "many"]
    assert [axes.images[0].get_array().shape for axes in (left, right)] == [(29, 29, 3), (44, 44, 3)]  # type: ignore[union-attr]


def test_penalties_are_drawn_as_given_with_p_marked() -> None:
    activation = np.linspace(0, 1, 5)
    axes = figures.penalties({"one": (activation, activation**2), "two": (activation, activation)}, p=0.3).axes[0]
    drawn = {line.get_label(): np.asarray(line.get_ydata()) for line in axes.lines}
    np.testing.assert_array_equal(drawn["one"], activation**2)
    np.testing.assert_array_equal(drawn["two"], activation)
    assert any(np.all(np.asarray(line.get_xdata()) == 0.3) for line in axes.lines)


def test_coefficient_paths_count_what_is_left() -> None:
    weights = np.logspace(-3, 0, 4)
    coefficients = np.array([[2.0, 1.0], [1.5, 0.5], [1.0, 0.0], [0.0, 0.0]])
    figure = figures.coefficient_paths({"L1": (weights, coefficients), "L2": (weights, coefficients)})
    assert [axes.get_title() for axes in figure.axes] == ["L1", "L2"]
    axes = figure.axes[0]
    np.testing.assert_array_equal(np.asarray(axes.lines[1].get_ydata()), coefficients[:, 1])
    assert [text.get_text() for text in axes.texts] == ["2 left", "1 left"]


def test_sweep_panels_have_a_curve_for_each_series_on_fitting_axes() -> None:
    beta = np.array([0.001, 0.01, 0.1])
    curves = {"0.01": (beta, np.array([0.1, 1.0, 10.0])), "0.05": (beta, np.array([0.2, 2.0, 20.0]))}
    narrow = {"0.01": (beta, np.array([0.5, 0.6, 0.7]))}
    panels = figures.sweep_panels({"max_approximation_error": curves, "hoyer_sparsity": narrow}, "beta", "p")
    first, second = panels.axes[:2]
    assert [line.get_label() for line in first.lines] == ["0.01", "0.05"]
    np.testing.assert_array_equal(first.lines[1].get_ydata(), [0.2, 2.0, 20.0])
    assert first.get_xscale() == first.get_yscale() == "log"
    assert second.get_yscale() == "linear"
    assert first.get_title() == "(a) max approximation error"


def test_the_style_of_the_caller_is_left_alone() -> None:
    with matplotlib.rc_context({"font.size": 31, "image.cmap": "hot"}):
        figures.atoms(np.ones((1, 1, 2, 2)))
        assert matplotlib.rcParams["font.size"] == 31
        assert matplotlib.rcParams["image.cmap"] == "hot"


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_a_figure_is_saved_in_both_formats(suffix: str, tmp_path: Path) -> None:
    figures.save(figures.atoms(np.ones((4, 1, 5, 5))), tmp_path / "atoms")
    content = (tmp_path / f"atoms{suffix}").read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix])
    assert len(list(tmp_path.iterdir())) == 2
