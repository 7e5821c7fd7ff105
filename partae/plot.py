"""Pictures of models, a line each, for a notebook or a script.

Each function takes one model or several by their names, and returns a figure of matplotlib. A notebook shows it;
`partae.figures.save` writes it as PNG and PDF.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor

from partae.checks import InputError
from partae.metrics.view import View, view_batch
from partae.morphology import Array, Operator, dilation, read_operator
from partae.report import drawings
from partae.representation import Representation, as_tensor

DILATION = dilation(1)
Models = Representation | Mapping[str, Representation]


def atoms(models: Models) -> Figure:
    """All atoms, numbered, each on a scale of its own; of several models, side by side.

    >>> from partae import AutoEncoder, decoder, encoder
    >>> model = AutoEncoder(encoder.Dense((1, 4, 4), 2), decoder.Dictionary((1, 4, 4), 2))
    >>> atoms(model).axes[0].get_title()
    '2 atoms, each on its own scale'
    """
    return drawings.draw_atoms({name: model.atoms.detach().cpu() for name, model in _named(models, "atoms").items()})


def reconstructions(models: Models, images: Array, names: Sequence[str] = ()) -> Figure:
    """Images (B, C, H, W) with values in [0, 1], and each model's reconstructions; ``names`` come above the images."""
    return drawings.draw_reconstructions(_views(models, "reconstruction", images, names), names)


def max_approximations(
    models: Models, images: Array, operator: Operator | str = DILATION, names: Sequence[str] = ()
) -> Figure:
    """Operated images (B, C, H, W), and each model's max-approximations of them; "opening:2" is an operator, too."""
    operator = read_operator(operator)
    views = _views(models, "max-approximation", images, names, operator)
    return drawings.draw_max_approximations(views, names, operator)


def overview(
    model: Representation, images: Array, operator: Operator | str = DILATION, names: Sequence[str] = ()
) -> Figure:
    """A model at a glance: its atoms, and for each image the strongest of them and the model's renderings."""
    if not isinstance(model, Representation):
        raise InputError(f"an overview is of one model; got {type(model).__name__}")
    operator = read_operator(operator)
    (view,) = _views(model, "", images, names, operator).values()
    return drawings.draw_overview(model.atoms.detach().cpu(), view, names, operator)


def _named(models: Models, label: str) -> Mapping[str, Representation]:
    named = {label: models} if isinstance(models, Representation) else models
    if not (isinstance(named, Mapping) and named and all(isinstance(each, Representation) for each in named.values())):
        raise InputError(
            f"a figure is of a model or of several by their names, {{name: model, ...}}; got {type(models).__name__}"
        )
    return named


def _views(models: Models, label: str, images: Array, names: Sequence[str], *operators: Operator) -> dict[str, View]:
    named = _named(models, label)
    if not len(images) or len(names) not in (0, len(images)):
        given = f"{len(images)} images and names={list(names)}"
        raise InputError(f"a figure needs at least one image, and names for all images or none; got {given}")
    return {name: _view(model, images, operators) for name, model in named.items()}


def _view(model: Representation, images: Array, operators: Sequence[Operator]) -> View:
    view = view_batch(model, as_tensor(images).detach(), operators)
    return View._make(each.cpu() if isinstance(each, Tensor) else [one.cpu() for one in each] for each in view)
