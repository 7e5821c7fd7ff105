"""The page of one model: its measures, atoms, images and figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from partae.figures import coloured, scaled_each
from partae.metrics import atom_sparsity, codes, usage_frequency
from partae.metrics.measures import Batches
from partae.morphology import Operator
from partae.report.page import measure_rows, render
from partae.report.pictures import Sheet, picture, sheet, tile_bytes
from partae.report.wording import verdicts
from partae.representation import Representation

BYTES = 800_000  # of a sheet at most, before compression, so that a page stays small
STRONGEST = 8  # images shown of those that use an atom most


@torch.no_grad()
def run_page(
    title: str,
    model: Representation,
    batches: Batches,
    examples: Mapping[str, Tensor],
    operator: Operator,
    measures: Mapping[str, float],
    published: Mapping[str, float],
    figures: Mapping[str, Path],
    l0_threshold: float = 0.0,
    *,
    bias: bool = False,
) -> str:
    """The page as HTML that needs nothing beside itself.

    Args:
        title: what the model is called.
        model: any representation.
        batches: of the test images (B, C, H, W) and their labels; gone through twice.
        examples: name -> image (C, H, W) whose code is shown.
        operator: whose max-approximation is shown.
        measures: by their names in metrics.json.
        published: measures of the same model in the literature, by their names without the split; empty if none.
        figures: caption -> PNG file.
        l0_threshold: that ``l0`` was measured with.
        bias: whether the operator is applied to the bias too.
    """
    code = codes(model, batches)[0]
    data = {
        "shape": list(model.atoms.shape[2:]),
        "operator": f"{operator.name}, radius {operator.radius}",
        "atoms": _atoms(model, operator, batches, code),
        "examples": _examples(model, operator, examples, bias=bias),
    }
    return render(
        "run.html",
        title=title,
        measures=measure_rows(measures, published, l0_threshold=l0_threshold),
        verdicts=verdicts(measures),
        published=bool(published),
        figures={caption: picture(file) for caption, file in figures.items()},
        data=data,
    )


def _atoms(model: Representation, operator: Operator, batches: Batches, code: Tensor) -> dict[str, Any]:
    """The atoms that fit on a sheet, those that add most to the images first to stay; and who uses them."""
    atoms = model.atoms.cpu()
    room = BYTES // tile_bytes(atoms.numpy())
    mass = code.abs().mean(dim=0) * atoms.abs().flatten(1).sum(dim=1)
    kept = mass.argsort(descending=True)[: max(1, room)].sort().values
    count = max(1, min(STRONGEST, len(code), room // len(kept)))
    strength, strongest = code[:, kept].topk(count, dim=0)
    used, place = strongest.unique(return_inverse=True)
    return {
        "total": len(atoms),
        "number": kept.tolist(),
        "sheet": _tiles(atoms[kept]),
        "operated": _tiles(operator(model.atoms)[kept.to(model.atoms.device)].cpu()),
        "usage": _rounded(usage_frequency(code)[kept]),
        "mean": _rounded(code.mean(dim=0)[kept]),
        "sparsity": _rounded(atom_sparsity(atoms)[kept]),
        "share": _rounded((mass / mass.sum().clamp(min=1e-12))[kept]),
        "images": _images(_picked(batches, used)),
        "strongest": place.T.tolist(),
        "strength": _rounded(strength.T),
    }


def _picked(batches: Batches, numbers: Tensor) -> Tensor:
    """The images of ``numbers``, which rise, without holding all of them at once."""
    picked, start = [], 0
    for images, _ in batches:
        here = numbers[(numbers >= start) & (numbers < start + len(images))] - start
        picked.append(images[here.to(images.device)].cpu())
        start += len(images)
    return torch.cat(picked)


def _examples(
    model: Representation, operator: Operator, examples: Mapping[str, Tensor], *, bias: bool
) -> dict[str, Any]:
    """What the model makes of some images, and by which atoms."""
    chosen = torch.stack(list(examples.values())).to(model.atoms.device)
    code = model.encode(chosen)
    mass = model.atoms.abs().flatten(1).sum(dim=1)
    rows = {
        "original": chosen,
        "reconstruction": model.decode(code),
        f"{operator.name} of the original": operator(chosen),
        "max-approximation": model.max_approximation_of_code(code, operator, bias=bias),
    }
    return {
        "names": list(examples),
        "rows": {name: _images(row.cpu()) for name, row in rows.items()},
        "code": _rounded(code),
        "contribution": _rounded(code.abs() * mass / (code.abs() * mass).sum(dim=1, keepdim=True).clamp(min=1e-12)),
    }


def _tiles(atoms: Tensor) -> Sheet:
    return sheet(scaled_each(atoms.numpy()))


def _images(images: Tensor) -> Sheet:
    return sheet([coloured(image, 0, 1) for image in images.numpy()])


def _rounded(values: Tensor) -> Any:
    """Nested lists to four digits, which is all that a page shows."""
    return torch.round(values.double(), decimals=4).tolist()
