"""Sparse activations: most entries of a code are exactly 0."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from partae.checks import real, whole
from partae.printed import Printed


class TopK(Printed):
    """ReLU, of which each code keeps its ``l0`` largest entries.

    Args:
        l0: the most entries of a code that are not 0, at least 1; a code with fewer positive inputs has fewer.

    Raises:
        InputError: if ``l0`` is no such number.

    Source: Makhzani and Frey, *k-sparse autoencoders*, ICLR (2014); Gao et al., *Scaling and evaluating sparse
    autoencoders*, ICLR (2025), for the ReLU.

    >>> TopK(2)(torch.tensor([[3.0, -4.0, 1.0, 2.0], [-1.0, -1.0, 0.5, -1.0]]))
    tensor([[3.0000, 0.0000, 0.0000, 2.0000],
            [0.0000, 0.0000, 0.5000, 0.0000]])
    """

    interval = (0.0, math.inf)

    def __init__(self, l0: int = 10) -> None:
        super().__init__()
        self.l0 = whole("encoder.activation.l0", l0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (B, K), at least 0, of inputs (B, K)."""
        values, units = F.relu(inputs).topk(min(self.l0, inputs.shape[-1]))
        return torch.zeros_like(inputs).scatter(-1, units, values)


class BatchTopK(Printed):
    """ReLU, of which a batch keeps its largest entries, ``l0`` for each code on average.

    So one image can have more entries than another. Outside of training, where a code must not depend on the other
    images, entries are kept from a threshold on: the running mean of the smallest entry that each batch has kept.

    Args:
        l0: the mean number of entries of a code that are not 0, at least 1.

    Attributes:
        threshold: a scalar; 0 at first.

    Raises:
        InputError: if ``l0`` is no such number.

    Source: Bussmann, Leask and Nanda, *BatchTopK sparse autoencoders*, arXiv 2412.06410 (2024).

    >>> BatchTopK(1)(torch.tensor([[3.0, -4.0, 2.0], [-1.0, -1.0, 0.5]]))
    tensor([[3., 0., 2.],
            [0., 0., 0.]])
    """

    interval = (0.0, math.inf)
    threshold: Tensor

    def __init__(self, l0: int = 10) -> None:
        super().__init__()
        self.l0 = whole("encoder.activation.l0", l0)
        self.register_buffer("threshold", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (B, K), at least 0, of inputs (B, K)."""
        code = F.relu(inputs)
        least = self.threshold
        if self.training:
            least = code.detach().flatten().topk(min(self.l0 * len(code), code.numel())).values[-1].to(least)
            self.threshold.copy_(torch.where(self.threshold > 0, self.threshold.lerp(least, 0.01), least))
        return torch.where(code >= least, code, 0)


class JumpReLU(Printed):
    r"""An input where it exceeds the threshold of its unit, and 0 elsewhere; the thresholds are learned.

    .. math:: y_j = x_j \, H(x_j - \theta_j)

    The derivative by a threshold is 0 almost everywhere. In its place stands an estimate of that of the mean over many
    inputs, by those that are near to the threshold (a straight-through estimator):

    .. math:: -\frac{1}{\epsilon} \quad\text{where } |x_j - \theta_j| < \frac{\epsilon}{2} \theta_j

    Args:
        width: K, the number of units.
        threshold: of each unit at first, above 0.
        bandwidth: :math:`\epsilon`, above 0, as a share of the threshold: nothing fixes the scale of a code.

    Attributes:
        log_threshold: the logarithm of each unit's threshold, (K,).

    Raises:
        InputError: if an argument is out of range.

    Source: Rajamanoharan et al., *Jumping ahead: improving reconstruction fidelity with JumpReLU sparse autoencoders*,
    arXiv 2407.14435 (2024).

    >>> JumpReLU(2, threshold=1.0)(torch.tensor([[0.9, 1.1]]))
    tensor([[0.0000, 1.1000]], grad_fn=<AddBackward0>)
    """

    interval = (0.0, math.inf)

    def __init__(self, width: int, threshold: float = 0.5, bandwidth: float = 1.0) -> None:
        super().__init__()
        self.width = whole("encoder.activation.width", width)
        self.threshold = real("encoder.activation.threshold", threshold, low=0, low_open=True)
        self.bandwidth = real("encoder.activation.bandwidth", bandwidth, low=0, low_open=True)
        self.log_threshold = nn.Parameter(torch.full((width,), math.log(threshold)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (B, K), at least 0, of inputs (B, K)."""
        threshold = self.log_threshold.exp()
        near = self.bandwidth * threshold.detach()
        gate = ((inputs.detach() - threshold) / near + 0.5).clamp(0, 1)
        return inputs * (inputs > threshold) + threshold.detach() * (gate - gate.detach())
