"""The measures of a representation, all of them in one pass over the images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from partae.metrics.code import DeadAtoms, HoyerSparsity, MeanActivation
from partae.metrics.reconstruction import ReconstructionError
from partae.morphology import Operator, dilation
from partae.representation import Representation


class Measures(nn.Module):
    """Reconstruction error, Hoyer sparsity, max-approximation errors, dead atoms and mean activation.

    The max-approximation error is the `reconstruction_error` between `Representation.max_approximation` and the
    operated images; a second one compares with the operated reconstructions, which a blurry model makes small.

    Args:
        latent_dim: K, the number of atoms of the representation.
        operator: the operator to approximate.
    """

    def __init__(self, latent_dim: int, operator: Operator = dilation(1)) -> None:  # noqa: B008
        super().__init__()
        self.operator = operator
        self.reconstruction_error = ReconstructionError()
        self.hoyer_sparsity = HoyerSparsity()
        self.max_approximation_error = ReconstructionError()
        self.max_approximation_error_of_reconstruction = ReconstructionError()
        self.dead_atoms = DeadAtoms(latent_dim)
        self.mean_activation = MeanActivation()

    @torch.no_grad()
    def update(self, model: Representation, images: Tensor) -> None:
        """Add images (B, C, H, W) as ``model`` sees them."""
        code = model.encode(images)
        reconstruction = model.decode(code)
        approximation = model.decode(code, atoms=self.operator(model.atoms))
        self.reconstruction_error.update(reconstruction, images)
        self.hoyer_sparsity.update(code)
        self.max_approximation_error.update(approximation, self.operator(images))
        self.max_approximation_error_of_reconstruction.update(approximation, self.operator(reconstruction))
        self.dead_atoms.update(code)
        self.mean_activation.update(code)

    def compute(self) -> dict[str, Tensor]:
        """Each measure by its name, over all images since the last `reset`."""
        return {name: metric.compute().float() for name, metric in self._metrics()}

    def reset(self) -> None:
        """Forget all images."""
        for _, metric in self._metrics():
            metric.reset()

    def _metrics(self) -> Iterator[tuple[str, Metric]]:
        return ((name, metric) for name, metric in self.named_children() if isinstance(metric, Metric))


def measure(model: Representation, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """The measures of ``model`` over ``batches`` of (images, labels), as numbers."""
    measures = Measures(len(model.atoms)).to(model.atoms.device)
    for images, _ in batches:
        measures.update(model, images.to(model.atoms.device))
    return {name: value.item() for name, value in measures.compute().items()}
