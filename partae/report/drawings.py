"""The figures of trained models, on some test images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from torch import Tensor

from partae import figures
from partae.metrics import contributions
from partae.metrics.view import View
from partae.morphology import Operator
from partae.report.wording import spell_out

STRONGEST = 3  # atoms of each image in the overview
SIDE_BY_SIDE = 3  # models, at most, of which all atoms are drawn


class Portrait(NamedTuple):
    """What figures and pages show of one model.

    Args:
        atoms: (K, C, H, W).
        code: of all test images, (N, K).
        examples: some images, as the model sees them.
        measures: by their names in metrics.json.
    """

    atoms: Tensor
    code: Tensor
    examples: View
    measures: Mapping[str, float]


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
    codes = {name: view.code.numpy() for name, view in views.items()}
    drawn = {
        "reconstructions": draw_reconstructions(views, names),
        "code_histograms": figures.code_histograms(codes, names),
    }
    if len(portraits) <= SIDE_BY_SIDE:
        drawn["atoms"] = draw_atoms({name: portrait.atoms for name, portrait in portraits.items()})
    else:
        strongest = {}
        for name, portrait in portraits.items():
            mass = contributions(portrait.code, portrait.atoms).mean(dim=0)
            strongest[name] = portrait.atoms[mass.argsort(descending=True)[: len(names)]].numpy()
        drawn["atoms"] = figures.atom_rows(strongest, "The atoms that add most to the test images")
    if len(portraits) == 1:
        (portrait,) = portraits.values()
        drawn["overview"] = draw_overview(portrait.atoms, portrait.examples, names, operators[0])
    for index, operator in enumerate(operators):
        suffix = "" if operator == operators[0] else "_" + re.sub(r"\W", "_", str(operator))
        drawn[f"max_approximations{suffix}"] = draw_max_approximations(views, names, operator, index)
    return drawn


def draw_atoms(atoms: Mapping[str, Tensor]) -> Figure:
    """All atoms (K, C, H, W) of a model, numbered; of several models, side by side."""
    if len(atoms) > 1:
        return figures.atom_grids({name: each.numpy() for name, each in atoms.items()})
    (only,) = atoms.values()
    return figures.atoms(only.numpy(), f"{len(only)} atoms, each on its own scale")


def draw_reconstructions(views: Mapping[str, View], names: Sequence[str]) -> Figure:
    """Images, and below them a row of reconstructions for each model."""
    rows = {"original": next(iter(views.values())).images}
    rows |= {name: view.reconstruction for name, view in views.items()}
    return figures.image_rows(_arrays(rows), names)


def draw_max_approximations(
    views: Mapping[str, View], names: Sequence[str], operator: Operator, index: int = 0
) -> Figure:
    """Operated images, and below them a row of max-approximations for each model; ``index`` is that of the operator."""
    kind, element = spell_out(str(operator))
    rows = {f"{kind} of the original": next(iter(views.values())).operated[index]}
    rows |= {name: view.max_approximation[index] for name, view in views.items()}
    return figures.image_rows(_arrays(rows), names, f"{kind.capitalize()} ({element}), and its max-approximation")


def draw_overview(atoms: Tensor, view: View, names: Sequence[str], operator: Operator) -> Figure:
    """All atoms of a model, those that add most to each image, and the images as the model renders them."""
    most = contributions(view.code, atoms).argsort(dim=1, descending=True)[:, :STRONGEST]
    strongest = {f"atom {rank}": atoms[numbers] for rank, numbers in enumerate(most.T, start=1)}
    rows = {
        "image": view.images,
        "reconstruction": view.reconstruction,
        str(operator): view.operated[0],
        "max-approximation": view.max_approximation[0],
    }
    return figures.overview(atoms.numpy(), _arrays(strongest), _arrays(rows), names)


def _arrays(rows: Mapping[str, Tensor]) -> dict[str, figures.Array]:
    return {name: row.numpy() for name, row in rows.items()}
