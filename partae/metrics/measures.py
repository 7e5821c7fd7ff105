"""The measures of a representation that are means over images, and the number of its dead atoms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from partae.metrics.code import Contributions, DeadAtoms
from partae.metrics.errors import reconstruction_error
from partae.metrics.view import View, view_batch
from partae.morphology import Operator, dilation, read_operators
from partae.representation import Representation
from partae.sparsity import hoyer_sparsity

Batches = Iterable[tuple[Tensor, ...]]  # of images, labels, and what else there may be

DILATION = dilation(1)
MEASURED = (DILATION,)  # what is approximated unless something else is asked for
# the errors of an operator
ERRORS = (
    "max_approximation_error",
    "max_approximation_error_clipped",
    "max_approximation_error_calibrated",
    "max_approximation_error_of_reconstruction",
    "image_error",
    "operated_reconstruction_error",
)


class Averages(Metric):
    """Mean of each of some measures over images; a value that is not a number makes its mean not a number.

    Args:
        names: of the measures.
    """

    full_state_update = False
    totals: Tensor
    count: Tensor

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = names
        self.add_state("totals", torch.zeros(len(names)), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, values: Mapping[str, Tensor]) -> None:
        """Add the values (B,) of each measure for some images."""
        self.totals = self.totals + torch.stack([values[name].sum() for name in self.names])
        self.count = self.count + len(values[self.names[0]])

    def compute(self) -> dict[str, Tensor]:
        """The means, a scalar each."""
        return dict(zip(self.names, (self.totals / self.count).float(), strict=True))


class Measures(nn.Module):
    """Reconstruction error, Hoyer sparsity, max-approximation errors, and what atoms and code add to the images.

    Each error is a `reconstruction_error`; `MEANINGS` says between which two images.

    Args:
        latent_dim: K, the number of atoms of the representation.
        operators: to approximate. What is measured of any but the dilation of radius 1 carries the operator in its
            name, as in ``max_approximation_error/opening:2``.
        bias: whether the operators are applied to the bias too.
    """

    def __init__(self, latent_dim: int, operators: Sequence[Operator | str] = MEASURED, *, bias: bool = False) -> None:
        super().__init__()
        self.operators = read_operators(operators)
        self.bias = bias
        errors = [named(kind, each) for each in self.operators for kind in ERRORS]
        gains = [named("max_approximation_gain", each) for each in self.operators]
        averages = ["reconstruction_error", "reconstruction_error_clipped", "hoyer_sparsity", *errors, *gains]
        self.names = [*averages, "dead_atoms", "mean_activation", "contributing_atoms", "code_variation"]
        self.averages = Averages([*averages, "mean_activation"])
        self.dead_atoms = DeadAtoms(latent_dim)
        self.contributions = Contributions(latent_dim)

    def update(self, model: Representation, images: Tensor, operated: Sequence[Tensor] | None = None) -> View:
        """Add images (B, C, H, W), and the ``operated`` ones where known; returns the model's view of them."""
        view = view_batch(model, images, self.operators, operated, bias=self.bias)
        clipped = view.reconstruction.clip(0, 1)
        values = {
            "reconstruction_error": reconstruction_error(view.reconstruction, images),
            "reconstruction_error_clipped": reconstruction_error(clipped, images),
            "hoyer_sparsity": hoyer_sparsity(view.code),
            "mean_activation": view.code.mean(dim=1),
        }
        for index, operator in enumerate(self.operators):
            rendering, expected = view.rendering[index], view.operated[index]
            pairs = (
                (rendering, expected),
                (rendering.clip(0, 1), expected),
                (view.max_approximation[index], expected),
                (rendering, view.operated_reconstruction[index]),
                (images, expected),
                (view.operated_clipped[index], expected),
            )
            for kind, pair in zip(ERRORS, pairs, strict=True):
                values[named(kind, operator)] = reconstruction_error(*pair)
            gain = torch.as_tensor(model.gain(operator, bias=self.bias), device=images.device)
            values[named("max_approximation_gain", operator)] = gain.expand(len(images))
        self.averages.update(values)
        self.dead_atoms.update(view.code)
        self.contributions.update(view.code, model.atoms)
        return view

    def compute(self) -> dict[str, Tensor]:
        """Each measure by its name, over all images since the last `reset`."""
        values = {**self.averages.compute(), "dead_atoms": self.dead_atoms.compute().float()}
        values |= self.contributions.compute()
        return {name: values[name] for name in self.names}

    def reset(self) -> None:
        """Forget all images."""
        self.averages.reset()
        self.dead_atoms.reset()
        self.contributions.reset()


def measure(
    model: Representation, batches: Batches, operators: Sequence[Operator | str] = MEASURED, *, bias: bool = False
) -> dict[str, float]:
    """The `Measures` of ``model`` over ``batches`` of (images, labels), as numbers."""
    measures = Measures(len(model.atoms), operators, bias=bias).to(model.atoms.device)
    for images, _ in batches:
        measures.update(model, images.to(model.atoms.device))
    return {name: value.item() for name, value in measures.compute().items()}


@torch.no_grad()
def codes(model: Representation, batches: Batches) -> tuple[Tensor, Tensor]:
    """The code (N, K) and the labels (N,) of all images in ``batches``, on the CPU."""
    pairs = [(model.encode(images.to(model.atoms.device)).cpu(), labels.cpu()) for images, labels in batches]
    return torch.cat([code for code, _ in pairs]), torch.cat([labels for _, labels in pairs])


def named(kind: str, operator: Operator) -> str:
    """The name of a measure of ``operator``; that of the dilation of radius 1 is left out."""
    return kind if operator == DILATION else f"{kind}/{operator}"
