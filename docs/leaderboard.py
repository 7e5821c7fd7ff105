"""The tables of docs/leaderboard.md, from the runs of a sweep: ``python docs/leaderboard.py outputs/leaderboard``.

Writes into docs/leaderboard/ a table for each kind of images, means ± deviations over seeds, and ``fronts.csv``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from partae.report import number
from partae.sweep.front import fronts
from partae.sweep.rows import Row, read_sweep, write_csv
from partae.sweep.seeds import DEVIATION, over_seeds

FOLDER = Path(__file__).with_name("leaderboard")
MODEL, IMAGES = "experiment/leaderboard@_global_", "experiment/images@_global_"
ERROR = "test/reconstruction_error"
MEASURES = {
    ERROR: "reconstruction error",
    "test/max_approximation_error_calibrated": "max-approximation error, calibrated",
    "test/max_approximation_error": "raw",
    "test/operated_reconstruction_error": "dilated reconstruction",
    "test/hoyer_sparsity": "Hoyer sparsity",
    "test/relative_l0": "L0",
    "test/contributing_atoms": "contributing atoms",
    "test/part_recovery": "part recovery",
    "test/svm_accuracy": "SVM",
    "test/knn_accuracy": "kNN",
    "test/clustering_accuracy": "clustering accuracy",
    "test/clustering_nmi": "NMI",
    "test/parameter_bytes": "bytes",
    "fit_seconds": "fit, seconds",
}
EQUAL = 1e-4  # a smaller deviation, relative to its mean, is none
FRONTS = ("test/max_approximation_error_calibrated", "test/hoyer_sparsity", "test/knn_accuracy", "test/clustering_nmi")


def line(row: Row) -> Row:
    """A row over seeds as its table shows it: the model, k, the measures as ``mean ± deviation``, and the seeds."""
    cells: Row = {"model": row[MODEL], "k": row["latent_dim"]}
    for key, name in MEASURES.items():
        if key not in row:
            continue
        mean, deviation = float(row[key]), float(row.get(key + DEVIATION, 0))
        cells[name] = f"{mean:.3g} ± {deviation:.1g}" if deviation > EQUAL * abs(mean) else number(mean)
    return cells | {"seeds": row["seeds"]}


def beside(rows: list[Row]) -> list[Row]:
    """Who is on the front of the reconstruction error and another measure, by images and k."""
    found: list[Row] = []
    for k in dict.fromkeys(row["latent_dim"] for row in rows):
        kept = (MODEL, IMAGES, *MEASURES, "folder")
        same = [{key: row[key] for key in kept if key in row} for row in rows if row["latent_dim"] == k]
        for other, name in ((key, MEASURES[key]) for key in FRONTS):
            given = {"k": k, "beside the error": name}
            found += [{"images": row["data"], **given, "front": row["front"]} for row in fronts(same, (ERROR, other))]
    return sorted(found, key=lambda row: str(row["images"]))


def main(sweep: Path, folder: Path = FOLDER) -> None:
    """Write the tables of the ``sweep`` into ``folder``: few atoms and small errors first."""
    rows = over_seeds([row for row in read_sweep(sweep) if row["status"] == "finished"])
    rows.sort(key=lambda row: (int(row["latent_dim"]), float(row[ERROR])))
    for images in dict.fromkeys(str(row[IMAGES]) for row in rows):
        lines = [line(row) for row in rows if row[IMAGES] == images]
        write_csv(folder / f"{images}.csv", lines)
        print(f"{len(lines)} rows are in {folder / images}.csv")
    write_csv(folder / "fronts.csv", beside(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
