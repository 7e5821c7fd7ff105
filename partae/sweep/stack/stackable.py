"""Which models can be trained in one stack."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import cast

from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.optim import LBFGS, Optimizer

from partae.callbacks import Gallery
from partae.checks import InputError
from partae.constraint import Constraint
from partae.corruption import NoCorruption
from partae.model.autoencoder import AutoEncoder
from partae.saving.specification import describe


def structure(model: AutoEncoder) -> str:
    """What models must share to be stacked: all but the numbers that a module keeps as tensors, and the optimizer's.

    >>> from partae.decoder import Dictionary
    >>> from partae.encoder import Dense
    >>> from partae.sparsity import KL, L2
    >>> one, two, other = (
    ...     AutoEncoder(Dense((1, 4, 4), 2), Dictionary((1, 4, 4), 2), sparsity=sparsity)
    ...     for sparsity in (KL(0.1, 0.2), KL(0.3, 0.4), L2(0.1, 0.2))
    ... )
    >>> structure(one) == structure(two), structure(one) == structure(other)
    (True, False)

    Raises:
        InputError: if a part of a user's own keeps what cannot be compared.
    """
    factory = getattr(model.optimizer, "func", model.optimizer)
    tensors = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    return json.dumps([describe(model, comparing=True), repr(factory), tensors])


def reason_alone(model: nn.Module, callbacks: Iterable[Callback], constraints: Iterable[Callback]) -> str | None:
    """Why ``model`` cannot be trained in a stack; None if it can."""
    if type(model) is not AutoEncoder:
        return f"model {type(model).__name__} learns in a way of its own"
    for module in model.children():
        if hasattr(module, "adapt"):
            return f"{type(module).__name__} adapts itself outside of the loss"
    for module in model.modules():
        if isinstance(module, _BatchNorm | _DropoutNd):
            return f"{type(module).__name__} does in training what no stack does: it keeps figures, or draws at random"
    if not isinstance(model.corruption, NoCorruption):
        return f"corruption={type(model.corruption).__name__.lower()} draws at random, and no stack does"
    for callback in callbacks:
        if not isinstance(callback, Gallery | ModelCheckpoint | ProgressBar):
            return f"callback {type(callback).__name__} reaches into a training of its own"
    for constraint in constraints:
        if not isinstance(constraint, Constraint):
            return f"constraint {type(constraint).__name__} is no projection"
    factory = getattr(model.optimizer, "func", model.optimizer)
    known = (
        isinstance(factory, type) and issubclass(factory, Optimizer) and factory.__module__.startswith("torch.optim")
    )
    if not known or issubclass(cast("type", factory), LBFGS):
        return f"optimizer {getattr(factory, '__name__', factory)} is not known to treat every tensor by itself"
    try:
        structure(model)
    except InputError as error:
        return str(error)
    return None
