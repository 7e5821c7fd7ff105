"""The figures of trained models, on the test images."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from partae import figures
from partae.data import DataModule
from partae.metrics import codes
from partae.morphology import Operator
from partae.representation import Representation

STRONGEST = 3  # atoms of each image in the overview
SIDE_BY_SIDE = 3  # models, at most, of which all atoms are drawn


@torch.no_grad()
def drawings(
    models: Mapping[str, Representation], data: DataModule, operators: list[Operator], *, bias: bool = False
) -> dict[str, Figure]:
    """Reconstructions, code histograms, atoms and max-approximations: a row for each model, by file name.

    Of two or three models all atoms are drawn, side by side; of more, some.

    Of a single model there is an overview, too: its atoms, those that add most to each image, and what they make of it.
    With ``bias`` the operators are applied to the bias too.
    """
    images, names = data.examples("test")
    code = {name: model.encode(images) for name, model in models.items()}
    reconstructions = {name: model.decode(code[name]).numpy() for name, model in models.items()}
    drawn = {
        "reconstructions": figures.image_rows({"original": images.numpy(), **reconstructions}, names),
        "code_histograms": figures.code_histograms({name: row.numpy() for name, row in code.items()}, names),
    }
    if len(models) == 1:
        (model,) = models.values()
        drawn["atoms"] = figures.atoms(model.atoms.numpy(), f"{len(model.atoms)} atoms, each on its own scale")
        drawn["overview"] = _overview(model, images, names, operators[0], bias=bias)
    elif len(models) <= SIDE_BY_SIDE:
        drawn["atoms"] = figures.atom_grids({name: model.atoms.numpy() for name, model in models.items()})
    else:
        strongest = {}
        for name, model in models.items():
            mass = codes(model, data.batches("test"))[0].mean(dim=0) * model.atoms.abs().flatten(1).sum(dim=1)
            strongest[name] = model.atoms[mass.argsort(descending=True)[: len(names)]].numpy()
        drawn["atoms"] = figures.atom_rows(strongest, "The atoms that add most to the test images")
    for each in operators:
        rows = {
            name: model.max_approximation_of_code(code[name], each, bias=bias).numpy() for name, model in models.items()
        }
        name = "max_approximations" if each == operators[0] else f"max_approximations_{each.name}_{each.radius}"
        title = f"{each.name.capitalize()} by the disk of radius {each.radius}, and its max-approximation"
        drawn[name] = figures.image_rows({f"{each.name} of the original": each(images).numpy(), **rows}, names, title)
    return drawn


def _overview(model: Representation, images: Tensor, names: list[str], operator: Operator, *, bias: bool) -> Figure:
    code = model.encode(images)
    most = (code * model.atoms.flatten(1).norm(dim=1)).abs().argsort(dim=1, descending=True)[:, :STRONGEST]
    rows = {
        "image": images,
        "reconstruction": model.decode(code),
        str(operator): operator(images),
        "max-approximation": model.max_approximation_of_code(code, operator, bias=bias),
    }
    strongest = {f"atom {rank}": model.atoms[chosen].numpy() for rank, chosen in enumerate(most.T, start=1)}
    return figures.overview(model.atoms.numpy(), strongest, {name: row.numpy() for name, row in rows.items()}, names)
