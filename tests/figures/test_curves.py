from __future__ import annotations

import numpy as np

from partae import figures


def test_code_histograms_count_every_entry_and_mark_the_largest() -> None:
    code = np.linspace(0, 0.9, 50).reshape(1, 50)
    axes = figures.code_histograms({"model": code}, ["Coat"]).axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == 50  # type: ignore[attr-defined]
    assert axes.lines[0].get_xdata()[0] == 0.9  # type: ignore[index]


def test_sweep_panels_have_a_curve_for_each_series_on_fitting_axes() -> None:
    beta = np.array([0.001, 0.01, 0.1])
    curves = {"0.01": (beta, np.array([0.1, 1.0, 10.0])), "0.05": (beta, np.array([0.2, 2.0, 20.0]), np.full(3, 0.1))}
    narrow = {"0.01": (beta, np.array([0.5, 0.6, 0.7]))}
    panels = figures.sweep_panels({"Max-approximation error": curves, "Hoyer sparsity": narrow}, "beta", "p")
    first, second = panels.axes[:2]
    assert [line.get_label() for line in first.lines] == ["0.01", "0.05"]
    np.testing.assert_array_equal(first.lines[1].get_ydata(), [0.2, 2.0, 20.0])
    (band,) = first.collections  # where runs differ in their seed
    np.testing.assert_allclose(band.get_paths()[0].get_extents().intervaly, [0.1, 20.1])
    assert first.get_xscale() == first.get_yscale() == "log"
    assert second.get_yscale() == "linear"
    assert first.get_title() == "(a) Max-approximation error"
    panels.draw_without_rendering()
    assert {"0.001", "0.01", "0.1"} <= {label.get_text() for label in first.get_xticklabels()}
