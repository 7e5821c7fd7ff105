"""The digits that come with scikit-learn, 8 × 8, as arrays to train on.

python examples/digits.py
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from partae.files import write_bytes
from partae.run.overrides import shell_override

FILE = Path("outputs/digits.npz")
TESTED = 360  # the last images, of other writers than the first


def main(file: Path = FILE) -> None:
    """Write the arrays, and say how to train on them."""
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)  # its pixels are 0 to 16
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        train_images=images[:-TESTED],
        train_labels=digits.target[:-TESTED],
        test_images=images[-TESTED:],
        test_labels=digits.target[-TESTED:],
    )
    write_bytes(file, buffer.getvalue())
    print(f"Written to {file}. Train on it with\n")
    print(f"  python train.py data=arrays {shell_override('data.source.root', file)} latent_dim=32 svm=quick")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
