"""Figures of numbers: curves, points and histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from partae.figures.style import ACCENT, Array, styled

KEY_COLUMNS = 4
MARKED = 20  # points of a curve, at most, that are marked


@styled
def sweep_panels(panels: Mapping[str, Mapping[str, Sequence[Array]]], x_label: str, series_label: str = "") -> Figure:
    """Measures against one swept value: a panel for each measure, a curve for each value of another key.

    Axes are logarithmic if their values are positive and span a decade.

    Args:
        panels: measure -> name of the curve -> swept values (N,), means (N,) and, as a band,
            deviations (N,) if there are any.
        x_label: the swept key.
        series_label: the key that tells the curves apart; "" where there is one curve only.
    """
    figure = Figure(figsize=(6.8, 0.4 + 2.3 * math.ceil(len(panels) / 2)))
    grid = figure.subplots(math.ceil(len(panels) / 2), 2, squeeze=False).ravel()
    for axes, letter, (measure, curves) in zip(grid, "abcdefgh", panels.items(), strict=False):
        for name, (x, y, *deviations) in curves.items():
            (line,) = axes.plot(x, y, "o-" if len(x) <= MARKED else "-", label=name)
            for deviation in deviations:
                axes.fill_between(x, y - deviation, y + deviation, color=line.get_color(), alpha=0.2, linewidth=0)
        across, up = (np.concatenate([curve[place] for curve in curves.values()]) for place in (0, 1))
        for axis, set_scale, values in ((axes.xaxis, axes.set_xscale, across), (axes.yaxis, axes.set_yscale, up)):
            if 0 < 10 * values.min() <= values.max():
                set_scale("log")
                mark_logarithmic(axis)
        axes.set_title(f"({letter}) {measure}", fontsize=8)
        axes.set_xlabel(x_label)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    if series_label:
        grid[0].legend(title=series_label)
    return figure


@styled
def front(runs: Array, on_front: Array, others: Mapping[str, Array], labels: Sequence[str]) -> Figure:
    """Models by two errors, with the line that no model of the sweep is below and left of.

    If there are other models, the left panel shows all models on logarithmic axes, and the right one the sweep from
    close by. The numbers beside the other models lead to their names below.

    Args:
        runs: (N, 2), above 0.
        on_front: the points on the line, (M, 2), in its order.
        others: name -> point (2,).
        labels: of the two axes.
    """
    from adjustText import adjust_text  # takes a second to import

    figure = Figure(figsize=(7.6, 3.6 + 0.15 * math.ceil(len(others) / KEY_COLUMNS)) if others else (4.2, 3.6))
    panels = figure.subplots(1, 2 if others else 1, squeeze=False)[0]
    for axes in panels:
        axes.plot(*runs.T, "o", color="0.7", label="runs")
        axes.step(*on_front.T, "o-", where="post", color=ACCENT, label="front")
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
    close = panels[-1]
    close.locator_params(nbins=5)
    if others:
        _draw_others(figure, panels[0], others)
        (left, right), (bottom, top) = close.get_xlim(), close.get_ylim()
        panels[0].indicate_inset((left, bottom, right - left, top - bottom), edgecolor="0.5")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    if others:
        figure.draw_without_rendering()  # the layout moves no axes from here on
        points = np.array(list(others.values()))
        numbers = [panels[0].text(*point, str(number), fontsize=6.5) for number, point in enumerate(points, start=1)]
        adjust_text(numbers, *np.concatenate([points, runs]).T, ax=panels[0], expand=(1.8, 1.6))
    return figure


def _draw_others(figure: Figure, axes: Axes, others: Mapping[str, Array]) -> None:
    """Draw other models on logarithmic axes, and list their names below."""
    axes.plot(*np.array(list(others.values())).T, "s", color="0.25", markerfacecolor="none", label="other runs")
    axes.set(xscale="log", yscale="log")
    mark_logarithmic(axes.xaxis)
    mark_logarithmic(axes.yaxis)
    names = [f"{number}  {name}" for number, name in enumerate(others, start=1)]
    handles = [Line2D([], [], linestyle="none")] * len(names)
    figure.legend(handles, names, loc="outside lower center", ncols=KEY_COLUMNS, fontsize=6.5, handlelength=0)


def mark_logarithmic(axis: Axis) -> None:
    """Write numbers at powers of ten, and between them where there are few of these."""
    low, high = axis.get_view_interval()
    between = (1.0, 2.0, 3.0, 5.0) if high > 5 * low else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 100 * low else between))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


@styled
def code_histograms(codes: Mapping[str, Array], columns: Sequence[str], title: str = "") -> Figure:
    """A histogram of the entries of each code, with the largest entry marked: a row for each entry of ``codes``.

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
