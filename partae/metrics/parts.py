"""Whether atoms are the parts that images are known to be made of."""

from __future__ import annotations

from torch import Tensor

from partae.metrics.atoms import matched


def part_recovery(atoms: Tensor, parts: Tensor, ignore: Tensor | None = None) -> Tensor:
    """Cosine of the angle between each part and the atom matched with it: (P,), in [-1, 1]; higher is better.

    Each atom is matched with one part at most, so that the sum of the cosines is largest. A part without an atom, where
    there are fewer atoms than parts, has 0; so has a part matched with an atom of zeros.

    Args:
        atoms: (K, C, H, W).
        parts: (P, C, H, W).
        ignore: pixels left out, True where so, (C, H, W) or what broadcasts to it.

    Source: Kuhn, *The Hungarian method for the assignment problem*, Naval Research Logistics 2 (1955).

    >>> import torch
    >>> parts = torch.eye(4).reshape(4, 1, 2, 2)
    >>> part_recovery(2 * parts.flip(0), parts)
    tensor([1., 1., 1., 1.])
    """
    if ignore is not None:
        atoms, parts = atoms.masked_fill(ignore, 0), parts.masked_fill(ignore, 0)
    found, cosines = matched(parts, atoms)
    return cosines.new_zeros(len(parts)).index_copy(0, found, cosines)
