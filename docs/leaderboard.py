"""The table of docs/leaderboard.md, from the runs of a sweep: ``python docs/leaderboard.py outputs/leaderboard_quick``.

Writes docs/leaderboard.csv: a row for each model, kind of images and number of atoms, means ± deviations over seeds.
"""

from __future__ import annotations

import sys
from pathlib import Path

from partae.report import number
from partae.sweep.rows import Row, read_sweep, short, write_csv
from partae.sweep.seeds import DEVIATION, has_seeds, over_seeds

FILE = Path(__file__).with_name("leaderboard.csv")
SETTINGS = {"leaderboard": "model", "images": "images", "latent_dim": "k"}
ERROR = "test/reconstruction_error"
MEASURES = {
    ERROR: "reconstruction error",
    "test/max_approximation_error_calibrated": "max-approximation error, calibrated",
    "test/operated_reconstruction_error": "dilated reconstruction",
    "test/hoyer_sparsity": "Hoyer sparsity",
    "test/contributing_atoms": "contributing atoms",
    "test/svm_accuracy": "SVM",
    "test/knn_accuracy": "kNN",
    "test/clustering_accuracy": "clustering accuracy",
    "test/clustering_nmi": "NMI",
    "test/parameter_bytes": "bytes",
}


def line(row: Row) -> Row:
    """A row as the page shows it: the settings, the measures as ``mean ± deviation``, and how many seeds there are."""
    settings: Row = {SETTINGS[short(key)]: value for key, value in row.items() if short(key) in SETTINGS}
    for key, name in MEASURES.items():
        deviation = f" ± {float(row[key + DEVIATION]):#.2g}" if key + DEVIATION in row else ""
        settings[name] = f"{number(float(row[key]))}{deviation}" if key in row else ""
    return settings | {"seeds": row.get("seeds", 1)}


def main(folder: Path) -> None:
    """Write the table of the sweep in ``folder``, the smallest error of each kind of images first."""
    rows = [row for row in read_sweep(folder) if row["status"] == "finished"]
    rows = over_seeds(rows) if has_seeds(rows) else rows
    ordered = sorted(rows, key=lambda row: float(row[ERROR]))
    lines = sorted(map(line, ordered), key=lambda row: (str(row.get("images")), float(row.get("k", 0))))
    write_csv(FILE, lines)
    print(f"{len(lines)} rows are in {FILE}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
