"""Figures of numbers: curves, points and histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from partae.figures.style import ACCENT, Array, styled

KEY_COLUMNS = 4


@styled
def coefficient_paths(paths: Mapping[str, tuple[Array, Array]], title: str = "") -> Figure:
    """What becomes of the coefficients of one image as a penalty grows: a panel for each penalty.

    Args:
        paths: name of the penalty -> its weights (N,), above 0 and rising, and the coefficients (N, K) at each of them.
        title: above all.
    """
    figure = Figure(figsize=(3.3 * len(paths), 2.7))
    panels = figure.subplots(1, len(paths), sharey=True, squeeze=False)[0]
    for axes, (name, (weights, coefficients)) in zip(panels, paths.items(), strict=True):
        axes.semilogx(weights, coefficients, linewidth=1)
        axes.set_title(name)
        axes.set_xlabel("weight of the penalty")
        left = (coefficients > 0).sum(axis=1)
        marks = np.linspace(0, len(weights) - 1, 4).round().astype(int)[1:-1]
        for at in marks:
            axes.axvline(weights[at], color="0.8", linewidth=0.7, zorder=0)
            axes.annotate(
                f"{left[at]} left",
                (weights[at], 1),
                (2, -2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                va="top",
                fontsize=8,
                color="0.4",
            )
    panels[0].set_ylabel("coefficient")
    figure.suptitle(title)
    return figure


@styled
def penalties(curves: Mapping[str, tuple[Array, Array]], p: float, title: str = "") -> Figure:
    """Penalties of a single unit against its mean activation.

    Args:
        curves: name of the penalty -> mean activations (N,) and penalties (N,).
        p: the expected activation, marked on the axis.
        title: above all.
    """
    figure = Figure(figsize=(3.6, 2.7))
    axes = figure.subplots()
    for (name, (activation, penalty)), line in zip(curves.items(), ("-", "--", "-.", ":"), strict=False):
        axes.plot(activation, penalty, line, label=name)
    axes.axvline(p, color="0.6", linewidth=0.7)
    axes.annotate(f" p = {p:g}", (p, 1), xycoords=("data", "axes fraction"), va="top", fontsize=8, color="0.4")
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("mean activation of a unit")
    axes.set_ylabel("penalty")
    axes.legend()
    axes.set_title(title)
    return figure


@styled
def sweep_panels(panels: Mapping[str, Mapping[str, tuple[Array, Array]]], x_label: str, series_label: str) -> Figure:
    """Measures of a sweep's models against one swept value: a panel for each measure, a curve for each other value.

    Axes are logarithmic where their values are positive and span a decade.

    Args:
        panels: measure -> name of the curve -> swept values (N,) and measures (N,).
        x_label: the swept key.
        series_label: the key that tells the curves apart.
    """
    figure = Figure(figsize=(6.8, 0.4 + 2.3 * math.ceil(len(panels) / 2)))
    grid = figure.subplots(math.ceil(len(panels) / 2), 2, squeeze=False).ravel()
    for axes, letter, (measure, curves) in zip(grid, "abcdefgh", panels.items(), strict=False):
        for name, (x, y) in curves.items():
            axes.plot(x, y, "o-", label=name)
        across, up = (np.concatenate(values) for values in zip(*curves.values(), strict=True))
        if _spans_a_decade(across):
            axes.set_xscale("log")
            _mark_logarithmic(axes.xaxis)
        if _spans_a_decade(up):
            axes.set_yscale("log")
            _mark_logarithmic(axes.yaxis)
        axes.set_title(f"({letter}) {measure}", fontsize=8)
        axes.set_xlabel(x_label)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    grid[0].legend(title=series_label)
    return figure


@styled
def front(
    runs: Array, on_front: Array, others: Mapping[str, Mapping[str, Array]], labels: Sequence[str], title: str = ""
) -> Figure:
    """Models by two errors, with the line that no model of the sweep is below and left of.

    Where there are other models, these and the sweep are on the left, on logarithmic axes, and the sweep from close by
    on the right. A number beside each of the others leads to its name below.

    Args:
        runs: (N, 2), above 0.
        on_front: those of them on the front, (M, 2), in the order of the line.
        others: kind -> name -> point (2,).
        labels: of the two axes.
        title: above all.
    """
    others = {kind: points for kind, points in others.items() if points}
    names = [name for points in others.values() for name in points]
    key_rows = math.ceil(len(names) / KEY_COLUMNS)
    figure = Figure(figsize=(7.6, 3.6 + 0.15 * key_rows) if others else (4.2, 3.6))
    *whole, close = figure.subplots(1, 2 if others else 1, squeeze=False)[0]
    for axes in (*whole, close):
        axes.plot(*runs.T, "o", color="0.7", label="runs")
        axes.step(*on_front.T, "o-", where="post", color=ACCENT, label="front")
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
    for axes in whole:
        _draw_others(axes, others)
        corners = zip(close.get_xlim(), close.get_ylim(), strict=True)
        (left, bottom), (right, top) = corners
        axes.indicate_inset((left, bottom, right - left, top - bottom), edgecolor="0.5")
    close.locator_params(nbins=5)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    if others:
        empty = [Line2D([], [], linestyle="none") for _ in names]
        key = [f"{number}  {name}" for number, name in enumerate(names, start=1)]
        figure.legend(empty, key, loc="outside lower center", ncols=KEY_COLUMNS, fontsize=6.5, handlelength=0)
    figure.suptitle(title)
    figure.draw_without_rendering()  # the layout moves no axes from here on
    for axes in whole:
        points = np.array([point for kind in others.values() for point in kind.values()])
        numbers = [axes.text(*point, str(number), fontsize=6.5) for number, point in enumerate(points, start=1)]
        x, y = np.concatenate([points, runs]).T
        adjust_text(numbers, x, y, ax=axes, expand=(1.8, 1.6))
    return figure


def _draw_others(axes: Axes, others: Mapping[str, Mapping[str, Array]]) -> None:
    """Draw the points of each kind by a marker of their own, on logarithmic axes."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for marker, (kind, points) in zip("sD^v", others.items(), strict=False):
        axes.plot(*np.array(list(points.values())).T, marker, color="0.25", markerfacecolor="none", label=kind)
    for axis in (axes.xaxis, axes.yaxis):
        _mark_logarithmic(axis)


def _spans_a_decade(values: Array) -> bool:
    return bool(0 < 10 * values.min() <= values.max())


def _mark_logarithmic(axis: Axis) -> None:
    """Write numbers at powers of ten, and between them where there are few of these."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 100 * low else (1.0, 2.0, 3.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


@styled
def code_histograms(codes: Mapping[str, Array], columns: Sequence[str], title: str = "") -> Figure:
    """The histogram of the entries of each code, its largest entry marked: a row for each entry of ``codes``.

    Args:
        codes: label -> code (N, K).
        columns: N names.
        title: above all.
    """
    figure = Figure(figsize=(1.0 * len(columns) + 1.2, 1.15 * len(codes) + 0.75))
    grid = figure.subplots(len(codes), len(columns), squeeze=False, sharey=True, sharex="row")
    for row, (label, code) in zip(grid, codes.items(), strict=True):
        low, high = min(0.0, float(code.min())), float(code.max()) or 1.0
        bins = np.linspace(low, high, 21)
        for axes, entries in zip(row, code, strict=True):
            axes.hist(entries, bins=bins, color="0.35")
            axes.axvline(float(entries.max()), color=ACCENT, linewidth=0.9)
            axes.text(
                0.97, 0.95, f"max {entries.max():.2f}", transform=axes.transAxes, ha="right", va="top", fontsize=6,
                color=ACCENT, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
            axes.set_yscale("symlog", linthresh=1)
            axes.set_ylim(0, code.shape[1] * 2)
            axes.tick_params(labelsize=6)
        row[0].set_ylabel(label, rotation=0, ha="right", va="center")
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name, fontsize=7)
    figure.suptitle(title, fontsize=9)
    figure.supxlabel("value of an entry of the code", fontsize=8)
    figure.supylabel("number of entries", fontsize=8)
    return figure
