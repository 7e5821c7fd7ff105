"""The figures of trained models, on some test images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from partae import figures
from partae.metrics.view import View
from partae.morphology import Operator
from partae.report.portrait import Portrait
from partae.report.wording import spell_out

STRONGEST = 3  # atoms of each image in the overview
SIDE_BY_SIDE = 3  # models, at most, of which all atoms are drawn


def draw(portraits: Mapping[str, Portrait], names: Sequence[str], operators: Sequence[Operator]) -> dict[str, Figure]:
    """Reconstructions, code histograms, atoms and max-approximations: figures by file name, with a row for each model.

    A single model has an overview, too: its atoms, those that add most to each image, and its renderings. All atoms of
    two or three models are drawn side by side; of more models, those that add most to the test images.

    Args:
        portraits: of the models, by their names.
        names: of the examples, which are the same for all models.
        operators: of the examples.
    """
    views = {name: portrait.examples for name, portrait in portraits.items()}
    first = next(iter(views.values()))
    reconstructions = {name: view.reconstruction.numpy() for name, view in views.items()}
    drawn = {
        "reconstructions": figures.image_rows({"original": first.images.numpy(), **reconstructions}, names),
        "code_histograms": figures.code_histograms({name: view.code.numpy() for name, view in views.items()}, names),
    }
    if len(portraits) == 1:
        atoms = next(iter(portraits.values())).atoms
        drawn["atoms"] = figures.atoms(atoms.numpy(), f"{len(atoms)} atoms, each on its own scale")
        drawn["overview"] = _draw_overview(atoms, first, names, operators[0])
    elif len(portraits) <= SIDE_BY_SIDE:
        drawn["atoms"] = figures.atom_grids({name: portrait.atoms.numpy() for name, portrait in portraits.items()})
    else:
        strongest = {}
        for name, portrait in portraits.items():
            mass = portrait.code.mean(dim=0) * portrait.atoms.abs().flatten(1).sum(dim=1)
            strongest[name] = portrait.atoms[mass.argsort(descending=True)[: len(names)]].numpy()
        drawn["atoms"] = figures.atom_rows(strongest, "The atoms that add most to the test images")
    for index, operator in enumerate(operators):
        rows = {name: view.max_approximation[index].numpy() for name, view in views.items()}
        kind, element = spell_out(str(operator))
        suffix = "" if operator == operators[0] else "_" + re.sub(r"\W", "_", str(operator))
        title = f"{kind.capitalize()} ({element}), and its max-approximation"
        rows = {f"{kind} of the original": first.operated[index].numpy(), **rows}
        drawn[f"max_approximations{suffix}"] = figures.image_rows(rows, names, title)
    return drawn


def _draw_overview(atoms: Tensor, view: View, names: Sequence[str], operator: Operator) -> Figure:
    most = (view.code * atoms.flatten(1).norm(dim=1)).abs().argsort(dim=1, descending=True)[:, :STRONGEST]
    strongest = {f"atom {rank}": atoms[numbers].numpy() for rank, numbers in enumerate(most.T, start=1)}
    rows = {
        "image": view.images,
        "reconstruction": view.reconstruction,
        str(operator): view.operated[0],
        "max-approximation": view.max_approximation[0],
    }
    return figures.overview(atoms.numpy(), strongest, {name: row.numpy() for name, row in rows.items()}, names)
