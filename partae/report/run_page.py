"""The page of one model: its measures, atoms, images and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from partae.figures import coloured, scaled_each
from partae.metrics import atom_sparsity, contributions, usage_frequency
from partae.metrics.view import View
from partae.morphology import Operator
from partae.report.drawings import Portrait
from partae.report.page import measure_rows, render
from partae.report.pictures import Sheet, picture, sheet, tile_bytes
from partae.report.wording import spell_out, verdicts

BYTES = 800_000  # of a sheet at most, before compression, so that a page stays small
STRONGEST = 8  # images shown of those that use an atom most


def render_run(
    title: str,
    portrait: Portrait,
    names: Sequence[str],
    operator: Operator,
    read: Callable[[Tensor], Tensor],
    published: Mapping[str, float],
    figures: Mapping[str, Path],
    provenance: Mapping[str, str],
    l0_threshold: float = 0.0,
) -> str:
    """The page as HTML that needs nothing beside itself.

    Args:
        title: what the model is called.
        portrait: of the model.
        names: of its examples.
        operator: the first one of the examples, whose max-approximation is shown.
        read: reads some of the test images, (B, C, H, W), by their numbers (B,).
        published: measures of the same model in the literature, by their names without the split; empty if none.
        figures: caption -> PNG file.
        provenance: how the model was trained, in words.
        l0_threshold: that ``l0`` was measured with.
    """
    atoms, code, examples, measures = portrait
    return render(
        "run.html",
        title=title,
        measures=measure_rows(measures, published, l0_threshold),
        verdicts=verdicts(measures),
        published=bool(published),
        provenance=dict(provenance),
        figures={caption: picture(file) for caption, file in figures.items()},
        data={
            "shape": list(atoms.shape[2:]),
            "operator": ", ".join(spell_out(str(operator))),
            "atoms": _show_atoms(atoms, operator, code, read),
            "examples": _show_examples(atoms, operator, examples, names),
        },
    )


def _show_atoms(atoms: Tensor, operator: Operator, code: Tensor, read: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """The atoms that fit on a sheet, those that add most to the images first, and the images that use them most."""
    room = BYTES // tile_bytes(atoms.numpy())
    mass = contributions(code, atoms).mean(dim=0)
    kept = mass.argsort(descending=True)[: max(1, room)].sort().values
    count = max(1, min(STRONGEST, len(code), room // len(kept)))
    strongest = code[:, kept].abs().topk(count, dim=0).indices
    strength = code[:, kept].gather(0, strongest)
    used, place = strongest.unique(return_inverse=True)
    return {
        "total": len(atoms),
        "number": kept.tolist(),
        "sheet": sheet(scaled_each(atoms[kept].numpy())),
        "operated": sheet(scaled_each(operator(atoms)[kept].numpy())),
        "usage": _rounded(usage_frequency(code)[kept]),
        "mean": _rounded(code.mean(dim=0)[kept]),
        "sparsity": _rounded(atom_sparsity(atoms)[kept]),
        "share": _rounded((mass / mass.sum().clamp(min=1e-12))[kept]),
        "images": _images(read(used)),
        "strongest": place.T.tolist(),
        "strength": _rounded(strength.T),
    }


def _show_examples(atoms: Tensor, operator: Operator, examples: View, names: Sequence[str]) -> dict[str, Any]:
    """Some images as the model sees them, and the atoms that add to them."""
    mass = contributions(examples.code, atoms)
    rows = {
        "original": examples.images,
        "reconstruction": examples.reconstruction,
        f"{spell_out(str(operator))[0]} of the original": examples.operated[0],
        "max-approximation": examples.max_approximation[0],
    }
    return {
        "names": list(names),
        "rows": {name: _images(row) for name, row in rows.items()},
        "code": _rounded(examples.code),
        "contribution": _rounded(mass / mass.sum(dim=1, keepdim=True).clamp(min=1e-12)),
    }


def _images(images: Tensor) -> Sheet:
    return sheet([coloured(image, 0, 1) for image in images.numpy()])


def _rounded(values: Tensor) -> Any:
    """Nested lists to four digits, which is all that a page shows."""
    return torch.round(values.double(), decimals=4).tolist()
