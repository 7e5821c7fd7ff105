"""Several models as one function, by `torch.func`: their parameters stacked along a new first dimension."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from partae.model.autoencoder import AutoEncoder
from partae.model.averages import Losses


class Vectorized:
    """n models that share their structure.

    Args:
        models: in training mode; buffers that they change there, as batch norm does, must change in place.
        compiled: whether the losses of a batch of ``batch_size`` images are compiled, where that works; on a GPU into
            CUDA graphs, which spare the host most of a step.
        batch_size: B of all but the last batch of an epoch.
    """

    def __init__(self, models: Sequence[AutoEncoder], *, compiled: bool = False, batch_size: int | None = None) -> None:
        self.models, self.batch_size = models, batch_size
        self.parameters, self.buffers = stack_module_state(cast("list[nn.Module]", models))
        model = _Losses(copy.deepcopy(models[0]).to("meta"))
        call = functools.partial(functional_call, model, tie_weights=False)  # on meta no weights are tied
        self._losses = vmap(lambda state, seen, batch: call(state, batch, seen), in_dims=(0, 0, None))
        self.is_to_be_compiled, self.compiled = compiled, cast("Callable[..., Any] | None", None)

    def move(self, device: torch.device) -> None:
        """Move the models to ``device``, and make their parameters and buffers views of the stack."""
        for tensors in (self.parameters, self.buffers):
            for name, tensor in tensors.items():
                tensors[name] = tensor.detach().to(device).requires_grad_(tensor.requires_grad)
        for index, model in enumerate(self.models):
            model.to(device)
            for name, parameter in model.named_parameters():
                parameter.data = self.parameters[name].data[index]
            for name, buffer in model.named_buffers():
                buffer.data = self.buffers[name][index]
        if self.is_to_be_compiled:
            mode = "reduce-overhead" if device.type == "cuda" else None
            self.compiled = torch.compile(self._losses, dynamic=False, mode=mode)

    def losses(self, *images: Tensor, **seen: Tensor) -> tuple[Losses, Tensor]:
        """The terms of each model's loss over images (B, C, H, W), by name, each (n,), and the codes (n, B, K).

        Operated images (B, O, C, H, W) may follow, as for `AutoEncoder.losses_of_batch`, and what the encoder of
        each model sees, ``seen`` (n, B, C, H, W), as for `AutoEncoder.losses_of_seen`.
        """
        state = {f"model.{name}": tensor for name, tensor in (self.parameters | self.buffers).items()}
        if self.compiled and len(images[0]) == self.batch_size:
            try:
                return self.compiled(state, seen, images)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
                reason = str(error).strip().splitlines()[0]
                warnings.warn(f"the stack trains without being compiled, which is slower: {reason}", stacklevel=2)
                self.compiled = None
        losses: tuple[Losses, Tensor] = self._losses(state, seen, images)
        return losses


class _Losses(nn.Module):
    """A model whose forward pass gives the terms of its loss, for `functional_call`."""

    def __init__(self, model: AutoEncoder) -> None:
        super().__init__()
        self.model = model
        for module in model.modules():
            if type(module) is nn.Linear:
                module.forward = functools.partial(_linear, module)  # type: ignore[method-assign]
            if hasattr(module, "adapt"):  # in training it keeps its inputs for that, and no stack adapts it
                module.eval()

    def forward(self, *images: Tensor, seen: Tensor | None = None) -> tuple[Losses, Tensor]:
        return self.model.losses_of_batch(*images) if seen is None else self.model.losses_of_seen(seen, *images)


def _linear(layer: nn.Linear, features: Tensor) -> Tensor:
    """The output of ``layer`` for features (B, F), by a product whose gradient has the memory layout of the weights.

    The gradient of PyTorch's own product is transposed, and to copy it takes a tenth of a step.
    """
    rows = (layer.weight @ features.T).T
    return rows if layer.bias is None else rows + layer.bias
