"""Pictures of models show what the models say, of one or of several."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import partae
from partae import AutoEncoder, plot
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import Dense

IMAGES = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
NAMES = ["shirt", "shoe", "bag"]


def model(seed: int = 0) -> AutoEncoder:
    torch.manual_seed(seed)
    return AutoEncoder(Dense((1, 8, 8), 4), Dictionary((1, 8, 8), 4))


def rows(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[-1].get_yticklabels()]


def columns(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[-1].get_xticklabels()]


def tile(figure: Figure, row: int, column: int) -> np.ndarray:
    """A tile (8, 8, 3) of the figure's last picture; tiles are a pixel apart."""
    return np.asarray(figure.axes[-1].get_images()[0].get_array())[9 * row :, 9 * column :][:8, :8]


@pytest.mark.parametrize("images", [IMAGES, IMAGES.numpy()], ids=["tensor", "array"])
def test_reconstructions_are_the_models_own(images: torch.Tensor) -> None:
    first, second = model(0), model(1)
    figure = plot.reconstructions({"first": first, "second": second}, images, NAMES)
    assert rows(figure) == ["original", "first", "second"]
    assert columns(figure) == NAMES
    np.testing.assert_allclose(tile(figure, 0, 2)[..., 0], IMAGES[2, 0], atol=0.005)
    expected = second.reconstruct(IMAGES)[1, 0].detach().clip(0, 1)
    np.testing.assert_allclose(tile(figure, 2, 1)[..., 0], expected, atol=0.005)


def test_max_approximations_are_those_of_the_operator() -> None:
    only, opening = model(), partae.Operator("opening", 1)
    figure = plot.max_approximations(only, IMAGES, "opening:1")
    assert rows(figure) == ["opening of the original", "max-approximation"]
    np.testing.assert_allclose(tile(figure, 0, 0)[..., 0], opening(IMAGES)[0, 0], atol=0.005)
    expected = only.max_approximation(IMAGES, opening)[0, 0].detach()
    np.testing.assert_allclose(tile(figure, 1, 0)[..., 0], expected, atol=0.005)


def test_atoms_of_several_models_lie_side_by_side() -> None:
    assert [axes.get_title() for axes in plot.atoms({"a": model(0), "b": model(1)}).axes] == ["a", "b"]
    assert rows(plot.atoms(model())) == ["0"]


def test_the_strongest_atoms_come_first_in_an_overview() -> None:
    figure = plot.overview(model(), IMAGES)
    assert rows(figure) == [
        "image", "atom 1", "atom 2", "atom 3", "reconstruction", "dilation:1", "max-approximation"
    ]  # fmt: skip
    figure.draw_without_rendering()  # a layout that fails is a warning


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot.atoms([model()]), r"\{name: model, ...\}; got list"),  # type: ignore[arg-type]
        (lambda: plot.atoms({}), "got dict"),
        (lambda: plot.atoms(partae.PartAutoEncoder(latent_dim=3)), "got PartAutoEncoder"),
        (lambda: plot.overview({"a": model()}, IMAGES), "of one model; got dict"),  # type: ignore[arg-type]
        (lambda: plot.reconstructions(model(), IMAGES[:0]), "at least one image, .*; got 0 images"),
        (lambda: plot.overview(model(), IMAGES, names=["shirt"]), r"3 images and names=\['shirt'\]"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw: Callable[[], Figure], message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw()


def test_a_notebook_shows_the_figure() -> None:
    assert plot.atoms(model())._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
