"""Hoyer's projection of 60,000 vectors of length 100: all at once against a Python loop over the vectors.

python benchmarks/projection.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from partae.projection import hoyer

SPARSENESS = 0.6
VECTORS = 60_000


def seconds(project: Callable[[Tensor], Tensor], vectors: Tensor) -> float:
    start = time.perf_counter()
    project(vectors)
    return time.perf_counter() - start


def loop(vectors: Tensor) -> Tensor:
    return torch.stack([hoyer(vector, SPARSENESS) for vector in vectors])


def main() -> None:
    vectors = torch.randn(VECTORS, 100, generator=torch.Generator().manual_seed(0))
    hoyer(vectors[:10], SPARSENESS)  # the first call sets things up
    at_once = seconds(lambda all_vectors: hoyer(all_vectors, SPARSENESS), vectors)
    one_by_one = seconds(loop, vectors)
    print(f"at once {at_once:.2f} s, one by one {one_by_one:.2f} s: a ratio of 1 / {one_by_one / at_once:.0f}")


if __name__ == "__main__":
    print(__doc__) if "--help" in sys.argv else main()
