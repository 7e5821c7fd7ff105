"""A model as plain data, and back: how a checkpoint says what it holds without a pickle or a path to any code.

A part keeps each constructor argument as an attribute of the same name, so its specification is its class and those
attributes. Building one goes only through classes of `nn.Module` that partae defines, and torch.nn's activations and
losses: its other modules can be asked for any number of layers, or hold code.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from omegaconf import DictConfig, ListConfig
from torch import Tensor, nn

from partae.checks import InputError

TARGET = "_target_"
PACKAGES = ("partae", "torch.nn")
LAYERLESS = ("torch.nn.modules.activation", "torch.nn.modules.loss")
MOST_VALUES = 10_000  # of a specification: a file of a few bytes can name one list very many times
PLAIN = (bool, int, float, str, list, tuple, Tensor, nn.Module)
# where checkpoints of version 0.1 say that a class is -> where it is now
MOVED = {
    "partae.autoencoder": "partae.model.autoencoder",
    "partae.boltzmann": "partae.model.boltzmann",
    "partae.factorization.coder": "partae.model.coder",
    "partae.factorization.model": "partae.model.factorization",
    "partae.plasticity": "partae.sparsity",
}
PLACES = {"device", "dtype"}  # where a module lives is not for a file to say

Module = TypeVar("Module", bound=nn.Module)


def describe(module: nn.Module, *, comparing: bool = False) -> dict[str, Any]:
    """The class and the constructor arguments of ``module``, as nested dicts, lists and plain values.

    Arguments that are neither plain values nor modules (an optimizer's factory, an estimator) are left out. So is a
    part of a class that `restore` would not build, where the constructor does without: a penalty of a user's own.

    Args:
        module: a model or a part of one.
        comparing: describe what models must share to be stacked instead: whoever defines them all parts, without the
            numbers that they keep as tensors.

    Raises:
        InputError: if a class does not keep an argument as an attribute of its name, or, comparing, if one is neither a
            plain value nor a module.

    >>> describe(nn.Threshold(0.5, 0.0))
    {'_target_': 'torch.nn.modules.activation.Threshold', 'threshold': 0.5, 'value': 0.0, 'inplace': False}
    """
    kind = type(module)
    spec: dict[str, Any] = {TARGET: f"{kind.__module__}.{kind.__qualname__}"}
    for name, argument in _arguments(kind).items():
        if not hasattr(module, name):
            raise InputError(f"{kind.__name__} must keep its argument {name} as an attribute of that name")
        value = getattr(module, name)
        if isinstance(value, nn.Module):
            if comparing or argument.default is argument.empty or _is_known(type(value)):
                spec[name] = describe(value, comparing=comparing)
        elif value is None or (isinstance(value, PLAIN) and not (comparing and isinstance(value, Tensor))):
            spec[name] = _plain(value)
        elif comparing and isinstance(value, ListConfig | DictConfig):
            spec[name] = str(value)  # as a part of a user's own may keep it
        elif comparing and not _is_known(kind) and not isinstance(value, Tensor):
            raise InputError(f"{kind.__name__} keeps {name}, which cannot be compared with that of another")
    return spec


def build(spec: Mapping[str, Any], base: type[Module]) -> Module:
    """The module that ``spec``, made by `describe`, describes; its weights are drawn afresh.

    Args:
        spec: as `describe` gives it.
        base: what the module must be.

    Raises:
        InputError: if a class is not a module of partae nor an activation or loss of torch.nn, is no ``base``, or has
            no such argument; or if a value is not plain data, or there are more of them than in any model.
    """
    _check_plain(spec)
    return _build(spec, base)


def _build(spec: Mapping[str, Any], base: type[Module]) -> Module:
    kind = _resolve(spec.get(TARGET))
    if not issubclass(kind, base):
        raise InputError(f"{kind.__name__} is not a {base.__name__}")
    arguments = {name: _built(value) for name, value in spec.items() if name != TARGET}
    unknown = arguments.keys() - _arguments(kind).keys() | arguments.keys() & PLACES
    if unknown:
        raise InputError(
            f"{kind.__name__} has no argument {', '.join(sorted(map(str, unknown)))}: not a specification of partae"
        )
    return kind(**arguments)


def restore(spec: Mapping[str, Any], weights: Mapping[str, Tensor], base: type[Module]) -> Module:
    """The module that ``spec`` describes, with ``weights``, its state dict.

    Weights in double precision are rounded to the module's own. Those of a part that ``spec`` leaves out, as `describe`
    does of a user's own, are left out too.

    Raises:
        InputError: as `build` does; or if a weight has fewer values than it says, is of another kind than the module's
            own, or is not finite.
        RuntimeError: if the weights do not fit.
    """
    with torch.device("meta"):  # nothing is allocated before the weights are known to fit
        module = build(spec, base)
    left_out = _arguments(type(module)).keys() - spec.keys()
    weights = {name: tensor for name, tensor in weights.items() if name.partition(".")[0] not in left_out}
    own = module.state_dict()
    check_weights(weights, own)
    weights = {name: tensor.to(own[name].dtype) if name in own else tensor for name, tensor in weights.items()}
    module.load_state_dict(weights, assign=True)
    return module


def check_weights(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise unless each of ``weights`` holds all its values, finite and of the kind that is ``expected``.

    Double precision stands for single: trainer.precision=64-true makes it of what a model is drawn in.
    """
    for name, tensor in weights.items():
        if not is_held(tensor):
            raise InputError(f"{name} says to be larger than what the file holds")
        if name in expected and not _is_kind(tensor.dtype, expected[name].dtype):
            raise InputError(f"{name} must be {expected[name].dtype}; got {tensor.dtype}")
        if not tensor.isfinite().all():
            raise InputError(f"{name} has values that are infinite or not a number: the training diverged")


def _is_kind(dtype: torch.dtype, expected: torch.dtype) -> bool:
    return dtype == expected or (dtype, expected) == (torch.float64, torch.float32)


def is_held(tensor: Tensor) -> bool:
    """Whether memory holds each value of ``tensor`` by itself, which a file can say of a larger one than it has."""
    return tensor.layout == torch.strided and (
        tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()
    )


def _arguments(kind: type[nn.Module]) -> dict[str, inspect.Parameter]:
    """The constructor's arguments by name; a class without a constructor has none."""
    parameters = inspect.signature(kind).parameters
    return {name: item for name, item in parameters.items() if item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)}


def _plain(value: Any) -> Any:
    if isinstance(value, nn.Module):
        return describe(value)
    if isinstance(value, Tensor):
        return value.item()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _check_plain(spec: object) -> None:
    """Raise unless ``spec`` is nested plain data of a size that a model can have, counting what is shared each time."""
    pending, count = [spec], 0
    while pending:
        value = pending.pop()
        count += 1
        if isinstance(value, Mapping | list):
            pending += value.values() if isinstance(value, Mapping) else value
        elif not (value is None or isinstance(value, bool | int | float | str)):
            raise InputError(f"a {type(value).__name__} is no part of a specification of partae")
        if count + len(pending) > MOST_VALUES:
            raise InputError("its specification has no end: not one of partae")


def _built(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _build(value, nn.Module)
    if isinstance(value, list):
        return [_built(item) for item in value]
    return value


def _resolve(target: object) -> type[nn.Module]:
    """The class at the dotted path ``target``, checked by what it is and not only by its path."""
    shown = f"{target!r:.200}"
    refusal = InputError(
        f"{shown} is neither a module of partae nor an activation or loss of torch.nn: the checkpoint is refused"
    )
    if not isinstance(target, str):
        raise refusal
    path, _, name = target.rpartition(".")
    if not (_is_in(path, PACKAGES) and all(part.isidentifier() for part in target.split("."))):
        raise refusal
    try:
        kind = getattr(importlib.import_module(MOVED.get(path, path)), name)
    except (ImportError, AttributeError):
        raise refusal from None
    if not (isinstance(kind, type) and issubclass(kind, nn.Module) and _is_known(kind)):
        raise refusal
    return kind


def _is_known(kind: type[nn.Module]) -> bool:
    """Whether partae defines the class, or torch.nn among its activations and losses."""
    return _is_in(kind.__module__, ("partae", *LAYERLESS))


def _is_in(path: str, packages: tuple[str, ...]) -> bool:
    return any(path == package or path.startswith(f"{package}.") for package in packages)
