from __future__ import annotations

import numpy as np

from partae import figures


def test_code_histograms_count_every_entry_and_mark_the_largest() -> None:
    code = np.linspace(0, 0.9, 50).reshape(1, 50)
    axes = figures.code_histograms({"model": code}, ["Coat"]).axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == 50  # type: ignore[attr-defined]
    assert axes.lines[0].get_xdata()[0] == 0.9  # type: ignore[index]


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
    panels = figures.sweep_panels({"Max-approximation error": curves, "Hoyer sparsity": narrow}, "beta", "p")
    first, second = panels.axes[:2]
    assert [line.get_label() for line in first.lines] == ["0.01", "0.05"]
    np.testing.assert_array_equal(first.lines[1].get_ydata(), [0.2, 2.0, 20.0])
    assert first.get_xscale() == first.get_yscale() == "log"
    assert second.get_yscale() == "linear"
    assert first.get_title() == "(a) Max-approximation error"
    panels.draw_without_rendering()
    assert {"0.001", "0.01", "0.1"} <= {label.get_text() for label in first.get_xticklabels()}
