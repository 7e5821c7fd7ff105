"""What the atoms say of the model: how localised they are, how far apart, and whether they are those expected."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from partae.checks import InputError
from partae.sparsity import hoyer_sparsity


def atom_sparsity(atoms: Tensor) -> Tensor:
    """`hoyer_sparsity` of each atom: (K, C, H, W) -> (K,), in [0, 1]; higher is more localised.

    >>> atom_sparsity(torch.eye(4).reshape(4, 1, 2, 2))
    tensor([1., 1., 1., 1.])
    """
    return hoyer_sparsity(atoms.flatten(1))


def negative_share(atoms: Tensor) -> Tensor:
    """Share of negative values: (K, C, H, W) -> scalar in [0, 1]; lower is better, since parts only add.

    >>> negative_share(torch.tensor([1.0, -3.0, 0.0, 2.0]).reshape(1, 1, 2, 2))
    tensor(0.2500)
    """
    return (atoms < 0).float().mean()


def negative_mass(atoms: Tensor) -> Tensor:
    """Share of the negative values in the sum of sizes: (K, C, H, W) -> scalar in [0, 1]; lower is better.

    0 for atoms that are all 0.

    >>> negative_mass(torch.tensor([1.0, -3.0, 0.0, 2.0]).reshape(1, 1, 2, 2))
    tensor(0.5000)
    """
    mass = atoms.abs().sum()
    return atoms.clamp(max=0).abs().sum() / torch.where(mass > 0, mass, 1)


def overlap(atoms: Tensor, activation: Tensor) -> Tensor:
    r"""Mean overlap of two atoms as they are used: (K, C, H, W) and (K,) -> scalar in [0, 1]; lower is better.

    .. math::
        \frac{2}{K (K - 1)} \sum_{j < k}
        \frac{\sum_i \min(|h_j w_{ji}|, |h_k w_{ki}|)}{\sum_i \max(|h_j w_{ji}|, |h_k w_{ki}|)}

    the grey-scale Jaccard index of every two atoms :math:`w`, each times the mean size :math:`h` of its unit's entries.
    0 when no pixel belongs to two atoms, so that their sum is their maximum; 1 when all weighted atoms are the same.
    One factor for all atoms changes nothing. Negative values count by their size: an atom covers a pixel whether it
    adds to it or takes from it, and the sign of an atom does not matter. Two zero atoms do not overlap.

    Args:
        atoms: (K, C, H, W).
        activation: how much each unit is used, (K,): its mean size over the images.

    Source: Ružička, *Anwendung mathematisch-statistischer Methoden in der Geobotanik* (1958), for the index.

    >>> overlap(torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 1.0]]).reshape(2, 1, 1, 3), torch.ones(2))
    tensor(0.2500)
    """
    weighted = (atoms.flatten(1) * activation[:, None]).abs()
    mass = weighted.sum(dim=1)
    first, second = torch.triu_indices(len(atoms), len(atoms), offset=1, device=atoms.device)
    both = mass[first] + mass[second]
    # min(x, y) and max(x, y) are (x + y -+ |x - y|) / 2: the distances need no (K, K, C H W) tensor
    distance = F.pdist(weighted, p=1)
    total = both + distance
    pairs = (both - distance).clamp(min=0) / torch.where(total > 0, total, 1)
    return pairs.sum() / max(len(pairs), 1)


def coherence(atoms: Tensor) -> Tensor:
    """Largest absolute cosine between two different atoms: (K, C, H, W) -> scalar in [0, 1]; lower is better.

    0 for orthogonal atoms, 1 when one atom is a multiple of another. A zero atom is orthogonal to all.

    Source: Donoho and Huo, *Uncertainty principles and ideal atomic decomposition*, IEEE Trans. Inf. Theory 47 (2001).

    >>> coherence(torch.eye(3).reshape(3, 1, 1, 3))
    tensor(0.)
    """
    directions = _directions(atoms)
    return (directions @ directions.T).abs().fill_diagonal_(0).max().clamp(max=1)


def stability(atoms: Tensor, other_atoms: Tensor) -> Tensor:
    """Mean cosine of two models' atoms, matched one to one: (K, C, H, W) twice -> scalar in [-1, 1]; higher is better.

    The matching is the one with the largest mean (Hungarian algorithm), so the order of the atoms does not matter, nor
    does their scale. 1 when both models have the same atoms; at least 0 for non-negative atoms. A zero atom has
    cosine 0 with every atom.

    Raises:
        InputError: if the two models do not have equally many atoms of the same shape.

    Source: Kuhn, *The Hungarian method for the assignment problem*, Naval Research Logistics Quarterly 2 (1955).

    >>> stability(torch.eye(3).reshape(3, 1, 1, 3), torch.eye(3).flip(0).reshape(3, 1, 1, 3))
    tensor(1.)
    """
    if atoms.shape != other_atoms.shape:
        shapes = f"{tuple(atoms.shape)} and {tuple(other_atoms.shape)}"
        raise InputError(f"stability needs two models with atoms (K, C, H, W) of the same shape; got {shapes}")
    return _match(atoms, other_atoms)[1].mean()


def part_recovery(atoms: Tensor, parts: Tensor, ignore: Tensor | None = None) -> Tensor:
    """Cosine of the angle between each part and the atom matched with it: (P,), in [-1, 1]; higher is better.

    The parts are those that images are known to be made of. Each atom is matched with one part at most, so that the sum
    of the cosines is largest. A part has 0 if no atom is left for it, or if its atom is zero.

    Args:
        atoms: (K, C, H, W).
        parts: (P, C, H, W).
        ignore: pixels left out, True where so, of a shape that broadcasts to (C, H, W).

    Source: Kuhn, as for `stability`.

    >>> parts = torch.eye(4).reshape(4, 1, 2, 2)
    >>> part_recovery(2 * parts.flip(0), parts)
    tensor([1., 1., 1., 1.])
    """
    if ignore is not None:
        atoms, parts = atoms.masked_fill(ignore, 0), parts.masked_fill(ignore, 0)
    rows, cosines = _match(parts, atoms)
    return cosines.new_zeros(len(parts)).index_copy(0, rows, cosines)


def _match(atoms: Tensor, other_atoms: Tensor) -> tuple[Tensor, Tensor]:
    """Pair atoms (K, C, H, W) with others (L, C, H, W) so that the sum of cosines is largest (Hungarian algorithm).

    Returns:
        The numbers of the min(K, L) atoms that have a partner, and their cosines with it.
    """
    cosines = _directions(atoms) @ _directions(other_atoms).T
    rows, columns = map(torch.from_numpy, linear_sum_assignment(cosines.detach().cpu().numpy(), maximize=True))
    return rows.to(cosines.device), cosines[rows, columns]


def _directions(atoms: Tensor) -> Tensor:
    """Atoms (K, C, H, W) as vectors of length 1, or 0 for a zero atom: (K, C H W)."""
    flat = atoms.flatten(1)
    # dividing by the largest value first keeps the squares of tiny atoms above 0
    largest = flat.abs().amax(dim=1, keepdim=True)
    return F.normalize(flat / torch.where(largest > 0, largest, 1))
