import torch

from partae.metrics import part_recovery


def test_parts_in_another_order_and_size_are_recovered() -> None:
    parts = torch.rand(5, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    atoms = torch.cat([3 * parts[[3, 1, 4, 0, 2]], torch.zeros(2, 1, 6, 6)])
    torch.testing.assert_close(part_recovery(atoms, parts), torch.ones(5))


def test_an_atom_counts_for_one_part_only() -> None:
    parts = torch.eye(4).view(4, 1, 2, 2)
    atoms = (parts[0] + parts[1])[None]
    torch.testing.assert_close(part_recovery(atoms, parts).sort().values, torch.tensor([0, 0, 0, 0.5**0.5]))


def test_matching_is_the_best_for_all_parts_together() -> None:
    # the first part is nearer to the first atom, yet leaves it to the second, which has no other
    parts = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(2, 1, 1, 2)
    atoms = torch.tensor([[0.8, 0.6], [0.6, 0.0]]).view(2, 1, 1, 2)
    torch.testing.assert_close(part_recovery(atoms, parts), torch.tensor([1.0, 0.6]))


def test_ignored_pixels_do_not_count() -> None:
    parts = torch.eye(4)[:3].view(3, 1, 2, 2)
    ignore = torch.eye(4)[3].view(1, 2, 2) > 0
    atoms = parts + 5 * ignore
    assert part_recovery(atoms, parts).max() < 0.5
    torch.testing.assert_close(part_recovery(atoms, parts, ignore), torch.ones(3))
