"""The measures of a representation, all of them in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from partae.metrics.atoms import atom_sparsity, coherence, negative_mass, negative_share, overlap
from partae.metrics.classification import check_classes, check_enough, svm_accuracy_quick, svm_accuracy_report
from partae.metrics.code import L0, DeadAtoms, HoyerSparsity, MeanActivation, UnitActivation, UsageFrequency
from partae.metrics.errors import ExplainedVariance, ReconstructionError
from partae.metrics.mean import Mean
from partae.metrics.parts import part_recovery
from partae.morphology import Operator, dilation
from partae.representation import Representation

Batches = Iterable[tuple[Tensor, ...]]  # of images, labels, and what else there may be

DILATION = dilation(1)
MEASURED = (DILATION,)  # what is approximated unless something else is asked for
# what each protocol of the linear SVM measures
SVM_MEASURES = {"none": (), "quick": ("svm_accuracy",), "report": ("svm_accuracy", "svm_accuracy_std", "svm_c")}


# the errors of an operator, and what they are held against
ERRORS = (
    "max_approximation_error",
    "max_approximation_error_clipped",
    "max_approximation_error_calibrated",
    "max_approximation_error_of_reconstruction",
    "image_error",
    "operated_reconstruction_error",
)


class Measures(nn.Module):
    """Reconstruction error, Hoyer sparsity, max-approximation errors, dead atoms and mean activation.

    Each error is a `reconstruction_error`: that of a max-approximation is of its rendering and the operated images.

    - ``max_approximation_error``: raw, as published;
    - ``..._clipped``: of the rendering clipped to [0, 1], as ``reconstruction_error_clipped`` is of the reconstruction;
    - ``..._calibrated``: of `Representation.max_approximation`, which is multiplied by a gain first;
    - ``..._of_reconstruction``: raw, but against the operated reconstructions, which a blurry model makes small;
    - ``image_error``: of the images as they are and the operated ones, which an approximation has to beat;
    - ``operated_reconstruction_error``: of the operated reconstructions, clipped, and the operated images. The operator
      is applied to every image there, which an approximation saves.

    ``max_approximation_gain`` is the gain.

    Args:
        latent_dim: K, the number of atoms of the representation.
        operators: to approximate. What is measured of any but the dilation of radius 1 carries the operator in its
            name, as in ``max_approximation_error/opening:2``.
        bias: whether the operators are applied to the bias too.
    """

    def __init__(self, latent_dim: int, operators: Sequence[Operator] = MEASURED, *, bias: bool = False) -> None:
        super().__init__()
        self.operators = operators
        self.bias = bias
        self.metrics = nn.ModuleDict(
            {
                "reconstruction_error": ReconstructionError(),
                "reconstruction_error_clipped": ReconstructionError(),
                "hoyer_sparsity": HoyerSparsity(),
                **{named(kind, each): ReconstructionError() for each in operators for kind in ERRORS},
                **{named("max_approximation_gain", each): Mean() for each in operators},
                "dead_atoms": DeadAtoms(latent_dim),
                "mean_activation": MeanActivation(),
            }
        )

    @torch.no_grad()
    def update(self, model: Representation, images: Tensor, operated: Sequence[Tensor] | None = None) -> None:
        """Add images (B, C, H, W) as ``model`` sees them; ``operated`` is what the operators make of them, if known."""
        operated = operated or [operator(images) for operator in self.operators]
        code = model.encode(images)
        reconstruction = model.decode(code)
        clipped = reconstruction.clip(0, 1)
        for name in ("hoyer_sparsity", "dead_atoms", "mean_activation"):
            self._metric(name).update(code)
        self._metric("reconstruction_error").update(reconstruction, images)
        self._metric("reconstruction_error_clipped").update(clipped, images)
        for operator, expected in zip(self.operators, operated, strict=True):
            rendering, gain = model.render(code, operator, bias=self.bias), model.gain(operator)
            pairs = (
                (rendering, expected),
                (rendering.clip(0, 1), expected),
                ((gain * rendering).clip(0, 1), expected),
                (rendering, operator(reconstruction)),
                (images, expected),
                (operator(clipped), expected),
            )
            for kind, pair in zip(ERRORS, pairs, strict=True):
                self._metric(named(kind, operator)).update(*pair)
            self._metric(named("max_approximation_gain", operator)).update(gain)

    def compute(self) -> dict[str, Tensor]:
        """Each measure by its name, over all images since the last `reset`."""
        return {name: self._metric(name).compute().float() for name in self.names}

    @property
    def names(self) -> list[str]:
        """The names of the measures, in their order."""
        return list(self.metrics)

    def reset(self) -> None:
        """Forget all images."""
        for name in self.names:
            self._metric(name).reset()

    def _metric(self, name: str) -> Metric:
        return cast("Metric", self.metrics[name])


def measure(
    model: Representation, batches: Batches, operators: Sequence[Operator] = MEASURED, *, bias: bool = False
) -> dict[str, float]:
    """The `Measures` of ``model`` over ``batches`` of (images, labels), as numbers."""
    measures = Measures(len(model.atoms), operators, bias=bias).to(model.atoms.device)
    for images, _ in batches:
        measures.update(model, images.to(model.atoms.device))
    return {name: value.item() for name, value in measures.compute().items()}


@torch.no_grad()
def measure_dictionary(model: Representation, batches: Batches, l0_threshold: float = 0.05) -> dict[str, float]:
    """What a user of the dictionary asks next: how much it explains, how it is used, and how its atoms overlap.

    Args:
        model: any representation.
        batches: of (images, labels).
        l0_threshold: size above which an entry of the code counts as non-zero, at least 0.

    Returns:
        ``explained_variance`` (at most 1; higher is better), ``l0`` (entries of a code), ``usage_frequency`` (share of
        the images that use an atom, mean over atoms), and of the atoms ``atom_sparsity`` (mean over atoms),
        ``overlap``, ``coherence``, ``negative_share`` and ``negative_mass``, each in [0, 1].
    """
    atoms = model.atoms
    variance, l0, usage = ExplainedVariance(), L0(l0_threshold), UsageFrequency()
    activation = UnitActivation(len(atoms))
    for metric in (variance, l0, usage, activation):
        metric.to(atoms.device)
    for batch, _ in batches:
        images = batch.to(atoms.device)
        code = model.encode(images)
        variance.update(model.decode(code), images)
        l0.update(code)
        usage.update(code)
        activation.update(code.abs())
    measures = {
        "explained_variance": variance.compute(),
        "l0": l0.compute(),
        "usage_frequency": usage.compute().mean(),
        "atom_sparsity": atom_sparsity(atoms).mean(),
        "overlap": overlap(atoms, activation.compute().reshape(-1)),  # of one unit, torchmetrics makes a scalar
        "coherence": coherence(atoms),
        "negative_share": negative_share(atoms),
        "negative_mass": negative_mass(atoms),
    }
    return {name: value.item() for name, value in measures.items()}


def measure_parts(model: Representation, parts: Tensor | None, ignored: Tensor | None = None) -> dict[str, float]:
    """How near the atoms are to the parts that images are known to be made of, by `part_recovery`; nothing without.

    Args:
        model: any representation.
        parts: (P, C, H, W), where they are known.
        ignored: pixels left out, True where so, (C, H, W).

    Returns:
        ``part_recovery``, the mean over the parts, and ``least_part_recovery``, of the part that is recovered worst.
    """
    if parts is None:
        return {}
    recovery = part_recovery(model.atoms.detach().cpu(), parts, ignored)
    return {"part_recovery": recovery.mean().item(), "least_part_recovery": recovery.min().item()}


def check_svm(labels: Callable[[str], Tensor], protocol: str) -> None:
    """Raise unless a linear SVM can be fitted by a protocol of `SVM_MEASURES`: before hours are spent on its codes.

    Args:
        labels: the labels (N,) of the "train" or "test" images.
        protocol: "none", "quick" or "report".

    Raises:
        InputError: if there are no labels, or too few images of a class.
    """
    if protocol == "quick":
        check_classes(labels("train"))
    elif protocol == "report":
        check_enough(labels("test"))


def measure_svm(
    model: Representation,
    batches: Callable[[str], Batches],
    protocol: str,
    seed: int = 0,
    standardised: bool | None = None,
    *,
    progress: bool = True,
) -> dict[str, float]:
    """The accuracy of a linear SVM on the codes, by a protocol of `SVM_MEASURES`; nothing for "none".

    Args:
        model: any representation.
        batches: the batches of the "train" or "test" images.
        protocol: "none", "quick" (`svm_accuracy_quick`) or "report" (`svm_accuracy_report`).
        seed: of the splits.
        standardised: whether codes are standardised; None is the protocol's own default.
        progress: show a progress bar where it takes minutes.
    """
    options: dict[str, Any] = {} if standardised is None else {"standardised": standardised}
    values: tuple[float, ...] = ()
    if protocol == "quick":
        train, test = codes(model, batches("train")), codes(model, batches("test"))
        values = (svm_accuracy_quick(*train, *test, seed=seed, **options),)
    elif protocol == "report":
        values = svm_accuracy_report(*codes(model, batches("test")), seed=seed, progress=progress, **options)
    return dict(zip(SVM_MEASURES[protocol], values, strict=True))


@torch.no_grad()
def codes(model: Representation, batches: Batches) -> tuple[Tensor, Tensor]:
    """The code (N, K) and the labels (N,) of all images in ``batches``, on the CPU."""
    pairs = [(model.encode(images.to(model.atoms.device)).cpu(), labels.cpu()) for images, labels in batches]
    return torch.cat([code for code, _ in pairs]), torch.cat([labels for _, labels in pairs])


def named(kind: str, operator: Operator) -> str:
    """The name of a measure of ``operator``; the dilation of radius 1 goes without saying."""
    return kind if operator == DILATION else f"{kind}/{operator}"
