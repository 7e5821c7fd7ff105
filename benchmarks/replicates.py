"""Sparse NMF of 10,000 images from twenty starts against one: seconds of the processor, and the errors.

python benchmarks/replicates.py
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from partae.data import FashionMNIST
from partae.nmf import SparseNMF

ROOT = Path(__file__).resolve().parents[1]
IMAGES = 10_000
SINGLE, STARTS = 3, 20  # fits of one start, whose seconds are averaged; starts of the other fit
KINDS: list[tuple[int, float | None]] = [(25, None), (25, 0.6), (100, None)]
MAX_ITER = 1000


def seconds(model: SparseNMF, images: Tensor) -> float:
    start = time.process_time()
    model.fit(images)
    return time.process_time() - start


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    images = torch.as_tensor(FashionMNIST(ROOT / "data").load("train")[0])[:IMAGES].flatten(1) / 255
    for atoms, sparseness in KINDS:
        generator = np.random.RandomState(0)
        settings: dict[str, Any] = {"sparseness_of_code": sparseness, "max_iter": MAX_ITER}
        single = [SparseNMF(atoms, random_state=generator, **settings) for _ in range(SINGLE)]
        several = SparseNMF(atoms, n_init=STARTS, random_state=0, **settings)
        one, all_starts = np.mean([seconds(model, images) for model in single]), seconds(several, images)
        lower = 1 - several.reconstruction_err_**2 / np.mean([model.reconstruction_err_**2 for model in single])
        print(
            f"{atoms} atoms, sparseness {sparseness}: {one:.2f} s from one start, {all_starts:.2f} s from {STARTS}, "
            f"a ratio of {all_starts / one:.2f}; the squared error is {lower:.2%} lower; "
            f"stability {several.stability_:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    print(__doc__) if "--help" in sys.argv else main()
