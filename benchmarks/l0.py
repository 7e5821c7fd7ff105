"""How well codes cut to their largest entries reconstruct: a dense code beside encoders that keep so few by themselves.

    python benchmarks/l0.py <run folder>

prints the reconstruction error on the test images of the run's code, such as that of model=sparse_nmf, once all but its
ten largest entries are cut; and again, once these ten are refitted by non-negative least squares. *Largest* is measured
twice: by the entry, and by the entry times the norm of its atom, which is what the entry adds to the image.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from hydra import compose, initialize
from hydra.utils import instantiate
from scipy.optimize import nnls
from torch import Tensor

import partae
import partae.run.resolvers
from partae.metrics import codes, l0, reconstruction_error

L0 = 10
DATA: list[str] = []  # overrides


def main() -> None:
    model = partae.load(sys.argv[1])
    with initialize(version_base="1.3", config_path="../conf"):
        data = instantiate(compose("evaluate", overrides=["ckpt=null", *DATA]).data)
    data.prepare_data()
    data.setup("test")
    images = torch.cat([batch for batch, _ in data.batches("test")])
    code, _ = codes(model, data.batches("test"))

    def error(code: Tensor) -> str:
        return f"{reconstruction_error(model.decode(code), images).mean():.4f}"

    print(f"  {'all entries':<32}{error(code)}   {l0(code).mean():.2f} of them a code")
    for name, size in (("entry", code), ("entry times norm", code * model.atoms.flatten(1).norm(dim=1))):
        largest = size.topk(min(L0, code.shape[1])).indices
        cut = torch.zeros_like(code).scatter(1, largest, code.gather(1, largest))
        again = refit(images - model.bias, model.atoms, largest)
        print(f"  {f'{L0} largest by {name}':<32}{error(cut)}   refitted {error(again)}")


def refit(images: Tensor, atoms: Tensor, units: Tensor) -> Tensor:
    """The code of least squared error, at least 0, whose entries but those at ``units`` (B, L) are 0: (B, K)."""
    vectors, targets = atoms.flatten(1).double().numpy(), images.flatten(1).double().numpy()
    entries = np.stack([nnls(vectors[of].T, target)[0] for of, target in zip(units.numpy(), targets, strict=True)])
    return torch.zeros(len(images), len(atoms)).scatter(1, units, torch.from_numpy(entries).float())


if __name__ == "__main__":
    print(__doc__) if "--help" in sys.argv or len(sys.argv) < 2 else main()
