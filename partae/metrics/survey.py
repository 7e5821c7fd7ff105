"""All measures of one model, in one pass over the images: each is encoded once, and operated on once per operator."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from partae.metrics.atoms import atom_sparsity, coherence, negative_mass, negative_share, overlap, part_recovery
from partae.metrics.calibration import BATCH, best_gain
from partae.metrics.code import l0, relative_l0, usage_frequency
from partae.metrics.errors import ExplainedVariance, reconstruction_error
from partae.metrics.measures import Averages, Measures, named
from partae.metrics.view import View
from partae.morphology import Operator, operate
from partae.representation import Representation


class References:
    """Two reference errors to compare max-approximation errors with, fitted to training images as the gains are.

    For each operator, ``operated_reconstruction_error_calibrated`` gives the operated reconstructions a gain of their
    own. ``least_squares_error`` says what the code allows: it is the error of the linear dictionary, with a bias, that
    fits the operated images best. It is no method, since it has to be fitted to operated images for each operator, and
    a decoder that is not linear may do better. It is left out where there are fewer than ten images an atom.

    Args:
        model: any representation.
        code: of training images, (N, K).
        operated: these images, operated on, (N, O, C, H, W).
        operators: O of them.

    Attributes:
        count: N, the number of these images.
    """

    @torch.no_grad()
    def __init__(self, model: Representation, code: Tensor, operated: Tensor, operators: Sequence[Operator]) -> None:
        reconstruction = torch.cat([model.decode(batch) for batch in code.to(model.atoms).split(BATCH)]).clip(0, 1)
        self.operators, self.count = operators, len(code)
        self.gains = [
            best_gain(operate(reconstruction, [each])[:, 0], operated[:, index].to(reconstruction))
            for index, each in enumerate(operators)
        ]
        self.kinds = ["operated_reconstruction_error_calibrated"]
        self.dictionaries: list[Tensor] = []
        if len(code) >= 10 * len(model.atoms):
            self.kinds.append("least_squares_error")
            with_one = _with_one(code)
            inverse = torch.linalg.pinv(with_one.T @ with_one, hermitian=True) @ with_one.T
            self.dictionaries = [inverse @ images.cpu().double().flatten(1) for images in operated.unbind(dim=1)]
        names = [named(kind, each) for kind in self.kinds for each in operators]
        self.averages = Averages(names).to(model.atoms.device)

    def update(self, view: View) -> None:
        """Add a batch of images."""
        values = {}
        for index, operator in enumerate(self.operators):
            expected = view.operated[index]
            calibrated = (self.gains[index] * view.operated_clipped[index]).clip(0, 1)
            renderings = [calibrated]
            if self.dictionaries:
                fitted = (_with_one(view.code) @ self.dictionaries[index]).clip(0, 1)
                renderings.append(fitted.view(expected.shape).to(expected))
            for kind, rendering in zip(self.kinds, renderings, strict=True):
                values[named(kind, operator)] = reconstruction_error(rendering, expected)
        self.averages.update(values)

    def compute(self) -> dict[str, Tensor]:
        """Each error by its name, over all images."""
        return self.averages.compute()


def _with_one(code: Tensor) -> Tensor:
    """A code (B, K) with a last entry of 1 for the bias, (B, K + 1), on the CPU and in double precision."""
    return F.pad(code.cpu().double(), (0, 1), value=1.0)


class Survey:
    """Pass batches of images through a model and update all metrics; only the codes are kept.

    Args:
        model: any representation.
        operators: to approximate.
        references: fitted to training images.
        bias: whether the operators are applied to the bias too.
    """

    def __init__(
        self,
        model: Representation,
        operators: Sequence[Operator],
        references: References,
        *,
        bias: bool = False,
    ) -> None:
        self.model, self.references = model, references
        self.measures = Measures(len(model.atoms), operators, bias=bias).to(model.atoms.device)
        self.variance = ExplainedVariance().to(model.atoms.device)
        self.codes: list[Tensor] = []

    def update(self, images: Tensor, operated: Sequence[Tensor]) -> None:
        """Add images (B, C, H, W) and the operated ones, (B, C, H, W) for each operator."""
        device = self.model.atoms.device
        view = self.measures.update(self.model, images.to(device), [each.to(device) for each in operated])
        self.variance.update(view.reconstruction, view.images)
        self.references.update(view)
        self.codes.append(view.code.cpu())

    @property
    def code(self) -> Tensor:
        """The code of all images, (N, K), on the CPU."""
        return torch.cat(self.codes)


def measure_dictionary(atoms: Tensor, code: Tensor, l0_threshold: float = 0.05) -> dict[str, float]:
    """How a dictionary is used, and how its atoms overlap: measures by their names, as `MEANINGS` describes them.

    Args:
        atoms: (K, C, H, W).
        code: of a whole set of images, (N, K).
        l0_threshold: size above which an entry of the code counts as non-zero, at least 0.
    """
    measures = {
        "l0": l0(code, l0_threshold).mean(),
        "relative_l0": relative_l0(code, atoms).mean(),
        "usage_frequency": usage_frequency(code).mean(),
        "atom_sparsity": atom_sparsity(atoms).mean(),
        "overlap": overlap(atoms, code.abs().double().mean(dim=0).to(atoms)),
        "coherence": coherence(atoms),
        "negative_share": negative_share(atoms),
        "negative_mass": negative_mass(atoms),
    }
    return {name: value.item() for name, value in measures.items()}


def measure_parts(atoms: Tensor, source: object) -> dict[str, float]:
    """The mean and the least `part_recovery`; empty where the parts of the images are not known.

    Args:
        atoms: (K, C, H, W).
        source: of the images; one that knows its parts has them as ``parts`` (P, C, H, W), and maybe pixels that are
            left out as ``ignored`` (C, H, W), True where so.
    """
    parts = getattr(source, "parts", None)
    if parts is None:
        return {}
    recovery = part_recovery(atoms, parts.to(atoms), getattr(source, "ignored", None))
    return {"part_recovery": recovery.mean().item(), "least_part_recovery": recovery.min().item()}
