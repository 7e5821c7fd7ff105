"""Restricted Boltzmann machines with sparse units, one alone or two stacked, trained by contrastive divergence."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, Optimizer

from partae.checks import InputError, whole
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.model.autoencoder import AutoEncoder
from partae.model.averages import Losses
from partae.schedule import Constant


class SparseRBM(AutoEncoder):
    r"""A restricted Boltzmann machine, whose atoms join K hidden units to the pixels.

    Pixels in [0, 1] count as probabilities. The code is each unit's probability given the image, and decoding gives
    each pixel's given the units: a tied auto-encoder, but trained on the likelihood of the images. Its gradient is
    nearly that of a difference of free energies, with :math:`v_k` after k steps of Gibbs sampling,

    .. math:: F(v) - F(v_k), \qquad F(v) = -b \cdot v - \sum_{j=1}^{K} \log\big(1 + e^{w_j \cdot v + c_j}\big)

    The penalty on the mean activations moves atoms and biases. The source lets it move the biases c only, as plain
    gradient steps can afford to: steps of equal size for each number, as Adam takes them, would let the atoms win.

    Args:
        encoder: shallow, tied, sigmoid.
        decoder: sigmoid.
        sparsity: penalty on the code.
        decay: penalty on the atoms.
        optimizer: parameters -> optimizer.
        schedule: progress of the training in [0, 1] -> factor of the learning rate.
        steps: k, of Gibbs sampling, at least 1.

    Raises:
        InputError: if the encoder or the decoder has other settings, or ``steps`` is out of range.

    Source: Hinton, *Training products of experts by minimizing contrastive divergence*, Neural Computation 14 (2002);
    Lee, Ekanadham and Ng, *Sparse deep belief net model for visual area V2*, NIPS 20 (2008), whose pixels are Gaussian.
    """

    terms = ("contrastive_divergence", "sparsity", "decay")

    def __init__(
        self,
        encoder: Dense,
        decoder: Dictionary,
        sparsity: nn.Module | None = None,
        decay: nn.Module | None = None,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = Adam,
        schedule: Callable[[float], float] = Constant(),  # noqa: B008
        steps: int = 1,
    ) -> None:
        super().__init__(encoder, decoder, sparsity=sparsity, decay=decay, optimizer=optimizer, schedule=schedule)
        self.steps = whole("model.steps", steps)
        for key, value, needed in (
            ("encoder.tied", encoder.tied, True),
            ("encoder.activation", encoder.activation, "sigmoid"),
            ("decoder.activation", decoder.activation, "sigmoid"),
        ):
            if value != needed:
                raise InputError(f"a Boltzmann machine needs {key}={str(needed).lower()}; got {str(value).lower()}")

    def free_energy(self, images: Tensor) -> Tensor:
        """Free energy (B,) of images (B, C, H, W) in [0, 1], up to a constant; lower is likelier."""
        return self._of_images("free_energy", images, self._free_energy)

    def _free_energy(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1)
        units = F.linear(pixels, self.atoms.flatten(1), self.encoder.last.bias)
        return -pixels @ self.bias.flatten() - F.softplus(units).sum(dim=1)

    def sample(self, images: Tensor) -> Tensor:
        """The images (B, C, H, W) after Gibbs sampling, which draws the units and takes the pixels' probabilities."""
        return self._of_images("sample", images, self._sample)

    @torch.no_grad()
    def _sample(self, images: Tensor) -> Tensor:
        for _ in range(self.steps):
            images = self.decoder(torch.bernoulli(self.encoder(images, self.atoms)))
        return images

    def losses_of_batch(self, images: Tensor, operated: Tensor | None = None) -> tuple[Losses, Tensor]:
        code = self.encoder(images, self.atoms)
        losses = {
            "contrastive_divergence": (self._free_energy(images) - self._free_energy(self._sample(images))).mean(),
            "sparsity": self.sparsity(self.of_all_processes(code)),
            "decay": self.decay(self.atoms),
        }
        return losses, code


class SparseDBN(SparseRBM):
    """A deep belief network of two: a machine on the images, and one on its units.

    Training is greedy: the first half of the epochs, an even number, trains the first machine, the second half the
    other one on its code. The network's code are the first machine's units as the second one reconstructs them, so that
    the first one's atoms decode it; `top_code` are the second one's units.

    Args:
        encoder: of the first machine.
        decoder: of the first machine; its atoms are the network's.
        top: the second machine, for images of shape (K, 1, 1).
        sparsity: penalty on the first machine's code.
        decay: penalty on the first machine's atoms.
        optimizer: parameters -> optimizer, for both.
        schedule: progress in [0, 1] of the training of each machine -> factor of the learning rate.
        steps: of Gibbs sampling in the first machine, at least 1.
        is_deep: whether the second machine takes part; a training begins without it.

    Source: Hinton, Osindero and Teh, *A fast learning algorithm for deep belief nets*, Neural Computation 18 (2006);
    Lee, Ekanadham and Ng (2008), as above.
    """

    is_shared_out = False  # processes that share batches would wait for gradients of the half that rests

    def __init__(
        self,
        encoder: Dense,
        decoder: Dictionary,
        top: SparseRBM,
        sparsity: nn.Module | None = None,
        decay: nn.Module | None = None,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] = Adam,
        schedule: Callable[[float], float] = Constant(),  # noqa: B008
        steps: int = 1,
        is_deep: bool = True,
    ) -> None:
        super().__init__(
            encoder, decoder, sparsity, decay, optimizer, lambda progress: schedule(2 * progress % 1), steps
        )
        self.top = top
        self.is_deep = is_deep

    def top_code(self, images: Tensor) -> Tensor:
        """The units of the second machine, (B, K of the second), for images (B, C, H, W)."""
        return self._of_images("top_code", images, self._top_code)

    def _top_code(self, images: Tensor) -> Tensor:
        return self.top._encode(_as_images(super()._encode(images)))

    def _encode(self, images: Tensor) -> Tensor:
        return self.top._decode(self._top_code(images)).flatten(1) if self.is_deep else super()._encode(images)

    def losses_of_batch(self, images: Tensor, operated: Tensor | None = None) -> tuple[Losses, Tensor]:
        if self.is_deep:
            return self.top.losses_of_batch(_as_images(super()._encode(images).detach()))
        return super().losses_of_batch(images)

    def losses_of_set(self, means: Losses, activation: Tensor) -> Losses:
        if self.is_deep:
            return self.top.losses_of_set(means, activation)
        return super().losses_of_set(means, activation)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit" and (epochs := self.trainer.max_epochs or 0) % 2:
            raise InputError(
                "a deep belief network trains each of its two machines for half of the epochs: choose an even "
                f"trainer.max_epochs; got {epochs}"
            )

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.is_deep = 2 * self.current_epoch >= (self.trainer.max_epochs or 0)


def _as_images(code: Tensor) -> Tensor:
    return code[:, :, None, None]
