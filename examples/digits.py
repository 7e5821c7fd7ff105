"""The digits that come with scikit-learn, 8 × 8, as arrays to train on.

python examples/digits.py
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np

from partae.data import Digits
from partae.files import write_bytes
from partae.run.overrides import shell_override

FILE = Path("outputs/digits.npz")


def main(file: Path = FILE) -> None:
    """Write the arrays, and say how to train on them."""
    (images, labels), (test_images, test_labels) = (Digits().load(split) for split in ("train", "test"))
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        train_images=images.numpy(),
        train_labels=labels.numpy(),
        test_images=test_images.numpy(),
        test_labels=test_labels.numpy(),
    )
    write_bytes(file, buffer.getvalue())
    print(f"Written to {file}. Train on it with\n")
    print(f"  python train.py data=arrays {shell_override('data.source.root', file)} latent_dim=32 svm=quick")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
