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
MEASURES = {
    "test/reconstruction_error": "reconstruction error",
    "test/max_approximation_error_calibrated": "max-approximation error, calibrated",
    "test/operated_reconstruction_error": "dilated reconstruction",
    "test/hoyer_sparsity": "Hoyer sparsity",
    "test/svm_accuracy": "SVM",
    "test/knn_accuracy": "kNN",
    "test/clustering_accuracy": "clustering accuracy",
    "test/clustering_nmi": "NMI",
    "fit_seconds": "seconds to fit",
    "test/encode_seconds": "seconds to encode 10,000",
}


def cell(row: Row, key: str) -> str:
    """A measure as ``mean ± deviation``; empty if the run has none."""
    if row.get(key, "") == "":
        return ""
    deviation = f" ± {float(row[key + DEVIATION]):#.2g}" if key + DEVIATION in row else ""
    return f"{number(float(row[key]))}{deviation}"


def main(folder: Path) -> None:
    """Write the table of the sweep in ``folder``."""
    rows = [row for row in read_sweep(folder) if row["status"] == "finished"]
    lines = over_seeds(rows, {}) if has_seeds(rows) else rows
    chosen = [{SETTINGS[short(key)]: value for key, value in line.items() if short(key) in SETTINGS} for line in lines]
    named = [
        setting | {name: cell(row, key) for key, name in MEASURES.items()}
        for setting, row in zip(chosen, lines, strict=True)
    ]
    write_csv(
        FILE,
        sorted(named, key=lambda line: (line.get("images", ""), float(line.get("k", 0)), line["reconstruction error"])),
    )
    print(f"{len(named)} rows are in {FILE}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
