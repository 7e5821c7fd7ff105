"""The tables of docs/leaderboard.md, from the runs of a sweep: ``python docs/leaderboard.py outputs/leaderboard``.

Writes into docs/leaderboard/ ``fronts.csv`` and, for each kind of images, a table of means ± deviations over seeds, a
picture of two of its columns, and one of the first atoms of each model.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from adjustText import adjust_text
from matplotlib.figure import Figure

from partae import figures
from partae.figures.curves import mark_logarithmic
from partae.figures.style import ACCENT
from partae.report import number
from partae.sweep.front import front_of, on_front
from partae.sweep.rows import Row, read_sweep, write_csv
from partae.sweep.seeds import DEVIATION, over_seeds
from partae.sweep.summary import read_atoms

FOLDER = Path(__file__).with_name("leaderboard")
MODEL, IMAGES = "experiment/leaderboard@_global_", "experiment/images@_global_"
ERROR = "test/reconstruction_error"
MEASURES = {
    ERROR: "reconstruction error",
    "test/max_approximation_error_calibrated": "max-approximation error, calibrated",
    "test/max_approximation_error": "max-approximation error, raw",
    "test/operated_reconstruction_error": "dilated reconstruction",
    "test/hoyer_sparsity": "Hoyer sparsity",
    "test/relative_l0": "relative L0",
    "test/contributing_atoms": "contributing atoms",
    "test/part_recovery": "part recovery",
    "test/svm_accuracy": "SVM",
    "test/knn_accuracy": "kNN",
    "test/clustering_accuracy": "clustering accuracy",
    "test/clustering_nmi": "NMI",
    "test/parameter_bytes": "bytes",
    "fit_seconds": "fit, seconds",
    "test/encode_seconds": "encode 10,000, seconds",
}
ATOMS = 8  # of each model in a picture
SMALL = 1e-4  # a smaller mean has an exponent
LEAST = 1e-6  # a smaller error is drawn as this one
EQUAL = 1e-5  # a smaller deviation, relative to its mean, is none
NOTHING = "test/image_error"  # of doing nothing: the image stands for its dilation
ERRORS = tuple(MEASURES)[:2]
FRONTS = ("test/max_approximation_error_calibrated", "test/hoyer_sparsity", "test/knn_accuracy", "test/clustering_nmi")


def with_deviation(mean: float, deviation: float) -> str:
    """A mean and its deviation, both to the first digit of the deviation."""
    if deviation <= EQUAL * abs(mean):
        return number(mean)
    exponent = math.floor(math.log10(abs(mean) + deviation)) if abs(mean) < SMALL else 0
    mean, deviation = mean / 10**exponent, deviation / 10**exponent
    digits = max(0, -math.floor(math.log10(deviation)))
    text = f"{mean:.{digits}f}\u00a0±\u00a0{deviation:.{digits}f}"
    return f"({text})e{exponent}" if exponent else text


def line(row: Row) -> Row:
    """A row over seeds as its table shows it: the model, k, the measures as ``mean ± deviation``, and the seeds."""
    cells: Row = {"model": row[MODEL], "k": row["latent_dim"]}
    for key, name in MEASURES.items():
        if key in row:
            cells[name] = with_deviation(float(row[key]), float(row.get(key + DEVIATION, 0)))
    return cells | {"seeds": row["seeds"]}


def beside(rows: list[Row]) -> list[Row]:
    """Who is on the front of the reconstruction error and another measure, by images and k."""
    found: list[Row] = []
    for images, k in dict.fromkeys((row[IMAGES], row["latent_dim"]) for row in rows):
        same = [row for row in rows if (row[IMAGES], row["latent_dim"]) == (images, k)]
        for key in FRONTS:
            front = ", ".join(str(row[MODEL]) for row in front_of(same, (ERROR, key)))
            found.append({"images": images, "k": k, "beside the error": MEASURES[key], "front": front})
    return sorted(found, key=lambda row: str(row["images"]))


@figures.styled
def picture(rows: list[Row]) -> Figure:
    """The two errors of each model, with the front and the error of the image itself: a panel for each k."""
    counts = list(dict.fromkeys(row["latent_dim"] for row in rows))
    figure = Figure(figsize=(4.2 * len(counts), 3.8), layout="constrained")
    for axes, k in zip(figure.subplots(1, len(counts), squeeze=False)[0], counts, strict=True):
        same = [row for row in rows if row["latent_dim"] == k]
        points = np.array([[max(LEAST, float(row[key])) for key in ERRORS] for row in same])
        front = points[on_front(points)]
        axes.step(*front[front[:, 0].argsort()].T, where="post", color=ACCENT)
        axes.plot(*points.T, "o", color="0.25", markersize=3)
        nothing = float(same[0][NOTHING])
        axes.axhline(nothing, color="0.5", linestyle="--", linewidth=0.8)
        place = axes.get_yaxis_transform()  # across in shares of the axes, up by the error
        axes.text(0.01, nothing, "the image, not dilated", transform=place, va="bottom", color="0.4", fontsize=6)
        axes.set(title=f"{k} atoms", xscale="log", yscale="log", xlabel=MEASURES[ERRORS[0]], ylabel=MEASURES[ERRORS[1]])
        mark_logarithmic(axes.xaxis)
        mark_logarithmic(axes.yaxis)
        names = [axes.text(*point, str(row[MODEL]), fontsize=6) for point, row in zip(points, same, strict=True)]
        adjust_text(names, *points.T, ax=axes, arrowprops={"arrowstyle": "-", "color": "0.7", "lw": 0.5})
    return figure


def first_atoms(sweep: Path, rows: list[Row]) -> dict[str, figures.Array]:
    """Some atoms of each model, by its name: of the first seed, and of the smallest k."""
    fewest = [row for row in rows if row["latent_dim"] == rows[0]["latent_dim"]]
    atoms = read_atoms(sweep, fewest)
    return {str(row[MODEL]): atoms[run][:ATOMS] for row in fewest if (run := str(row["folder"])) in atoms}


def main(sweep: Path, folder: Path = FOLDER) -> None:
    """Write the tables of the ``sweep`` into ``folder``: few atoms and small errors first."""
    finished = [row for row in read_sweep(sweep) if row["status"] == "finished"]
    rows = over_seeds(sorted(finished, key=lambda row: int(row["seed"])))
    if not rows:
        sys.exit(f"{sweep} has no finished runs of experiment=leaderboard")
    rows.sort(key=lambda row: (int(row["latent_dim"]), float(row[ERROR])))
    for images in dict.fromkeys(str(row[IMAGES]) for row in rows):
        same = [row for row in rows if row[IMAGES] == images]
        write_csv(folder / f"{images}.csv", [line(row) for row in same])
        figures.save(picture(same), folder / images)
        if atoms := first_atoms(sweep, same):
            figures.save(figures.atom_rows(atoms), folder / f"{images}_atoms")
        print(f"{len(same)} rows are in {folder / images}.csv, and drawn in {images}.png")
    write_csv(folder / "fronts.csv", beside(rows))


if __name__ == "__main__":
    print(__doc__) if "--help" in sys.argv or len(sys.argv) < 2 else main(Path(sys.argv[1]))
