"""The measures of a representation, all of them in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from partae.metrics.atoms import atom_sparsity, coherence, negative_mass, negative_share, overlap
from partae.metrics.classification import check_classes, check_enough, svm_accuracy_quick, svm_accuracy_report
from partae.metrics.code import L0, DeadAtoms, HoyerSparsity, MeanActivation, UnitActivation, UsageFrequency
from partae.metrics.parts import part_recovery
from partae.metrics.reconstruction import ExplainedVariance, ReconstructionError
from partae.morphology import Operator, dilation
from partae.representation import Representation

Batches = Iterable[tuple[Tensor, ...]]  # of images, labels, and what else there may be

DILATION = dilation(1)
# what each protocol of the linear SVM measures
SVM_MEASURES = {"none": (), "quick": ("svm_accuracy",), "report": ("svm_accuracy", "svm_accuracy_std", "svm_c")}


class Measures(nn.Module):
    """Reconstruction error, Hoyer sparsity, max-approximation errors, dead atoms and mean activation.

    The max-approximation error is the `reconstruction_error` between `Representation.max_approximation` and the
    operated images; a second one compares with the operated reconstructions, which a blurry model makes small.

    Args:
        latent_dim: K, the number of atoms of the representation.
        operators: to approximate. The errors of any but the dilation of radius 1 carry the operator in their names, as
            in ``max_approximation_error/opening:2``.
        bias: whether the operators are applied to the bias too.
    """

    def __init__(self, latent_dim: int, operators: Sequence[Operator] = (DILATION,), *, bias: bool = False) -> None:
        super().__init__()
        self.operators = operators
        self.bias = bias
        self.reconstruction_error = ReconstructionError()
        self.hoyer_sparsity = HoyerSparsity()
        self.to_images = nn.ModuleList(ReconstructionError() for _ in operators)
        self.to_reconstructions = nn.ModuleList(ReconstructionError() for _ in operators)
        self.dead_atoms = DeadAtoms(latent_dim)
        self.mean_activation = MeanActivation()

    @torch.no_grad()
    def update(self, model: Representation, images: Tensor, operated: Sequence[Tensor] | None = None) -> None:
        """Add images (B, C, H, W) as ``model`` sees them; ``operated`` is what the operators make of them, if known."""
        operated = operated or [operator(images) for operator in self.operators]
        code = model.encode(images)
        reconstruction = model.decode(code)
        self.reconstruction_error.update(reconstruction, images)
        self.hoyer_sparsity.update(code)
        for (operator, to_images, to_reconstructions), expected in zip(self._approximations(), operated, strict=True):
            approximation = model.max_approximation_of_code(code, operator, bias=self.bias)
            to_images.update(approximation, expected)
            to_reconstructions.update(approximation, operator(reconstruction))
        self.dead_atoms.update(code)
        self.mean_activation.update(code)

    def compute(self) -> dict[str, Tensor]:
        """Each measure by its name, over all images since the last `reset`."""
        errors = [error.compute() for _, *pair in self._approximations() for error in pair]
        dead_atoms, mean_activation = self.dead_atoms.compute().float(), self.mean_activation.compute()
        values = [self.reconstruction_error.compute(), self.hoyer_sparsity.compute(), *errors, dead_atoms]
        return dict(zip(self.names, [*values, mean_activation], strict=True))

    @property
    def names(self) -> list[str]:
        """The names of the measures, in their order."""
        kinds = ("max_approximation_error", "max_approximation_error_of_reconstruction")
        errors = [_named(kind, operator) for operator in self.operators for kind in kinds]
        return ["reconstruction_error", "hoyer_sparsity", *errors, "dead_atoms", "mean_activation"]

    def reset(self) -> None:
        """Forget all images."""
        for metric in self.modules():
            if isinstance(metric, Metric):
                metric.reset()

    def _approximations(self) -> Iterator[tuple[Operator, ReconstructionError, ReconstructionError]]:
        for operator, *errors in zip(self.operators, self.to_images, self.to_reconstructions, strict=True):
            to_images, to_reconstructions = cast("list[ReconstructionError]", errors)
            yield operator, to_images, to_reconstructions


def measure(
    model: Representation, batches: Batches, operators: Sequence[Operator] = (DILATION,), *, bias: bool = False
) -> dict[str, float]:
    """The `Measures` of ``model`` over ``batches`` of (images, labels), as numbers."""
    measures = Measures(len(model.atoms), operators, bias=bias).to(model.atoms.device)
    for images, _ in batches:
        measures.update(model, images.to(model.atoms.device))
    return {name: value.item() for name, value in measures.compute().items()}


@torch.no_grad()
def measure_references(
    model: Representation, batches: Batches, operators: Sequence[Operator] = (DILATION,)
) -> dict[str, float]:
    """What to hold max-approximation errors against: doing nothing, and operating on each reconstruction.

    Returns:
        For each operator ``identity_error``, the `reconstruction_error` between the images as they are and the operated
        ones, which an approximation has to beat; and ``operated_reconstruction_error``, that between the operated
        reconstructions, for which the operator is needed for every image, and the operated images.
    """
    errors = {
        _named(kind, operator): ReconstructionError().to(model.atoms.device)
        for operator in operators
        for kind in ("identity_error", "operated_reconstruction_error")
    }
    for batch, _ in batches:
        images = batch.to(model.atoms.device)
        reconstruction = model.reconstruct(images)
        for operator in operators:
            operated = operator(images)
            errors[_named("identity_error", operator)].update(images, operated)
            errors[_named("operated_reconstruction_error", operator)].update(operator(reconstruction), operated)
    return {name: error.compute().item() for name, error in errors.items()}


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


def _named(kind: str, operator: Operator) -> str:
    """The name of an error of ``operator``; the dilation of radius 1 goes without saying."""
    return kind if operator == DILATION else f"{kind}/{operator}"
