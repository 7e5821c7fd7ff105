"""A model as plain data, and back: how a checkpoint stores a model without pickle or arbitrary imports.

A module keeps each constructor argument as an attribute of the same name, so its specification is its class and those
attributes. Only classes of `nn.Module` that partae defines are built, and torch.nn's activations and losses: its other
modules can be asked for any number of layers, or hold code. Those of other packages are imported and built only if the
caller trusts the package by name.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from partae.checks import InputError

TARGET = "_target_"
PATH = re.compile(r"(\w{1,60})(\.\w+)+")
BUILDABLE = ("partae.", "torch.nn.modules.activation.", "torch.nn.modules.loss.")
MOST_VALUES = 10_000  # of a specification: a file of a few bytes can name one list very many times
PLACES = {"device", "dtype"}  # where a module lives is not for a file to say

Module = TypeVar("Module", bound=nn.Module)


def describe(module: nn.Module, *, comparing: bool = False) -> dict[str, Any]:
    """The class and the constructor arguments of ``module``, as nested dicts, lists and plain values.

    Arguments that are neither plain values nor modules (an optimizer's factory, an estimator) are left out. So is a
    module of a class that `restore` would not build, if the argument is optional and the class of another package than
    its owner: a user-defined penalty.

    Args:
        module: a model or a module of one.
        comparing: describe what models must share to be stacked instead: modules of all classes, without tensors.

    Raises:
        InputError: if a class does not keep an argument as an attribute of its name, or, comparing, if one of a user's
            class is neither a plain value nor a module.

    >>> describe(nn.Threshold(0.5, 0.0))
    {'_target_': 'torch.nn.modules.activation.Threshold', 'threshold': 0.5, 'value': 0.0, 'inplace': False}
    """
    kind = type(module)
    package = kind.__module__.partition(".")[0]
    spec: dict[str, Any] = {TARGET: f"{kind.__module__}.{kind.__qualname__}"}
    for name, argument in _arguments(kind).items():
        if not hasattr(module, name):
            raise InputError(f"{kind.__name__} must keep its argument {name} as an attribute of that name")
        value = getattr(module, name)
        if isinstance(value, nn.Module):
            if comparing or argument.default is not None or _is_buildable(type(value), [package]):
                spec[name] = describe(value, comparing=comparing)
        elif comparing and isinstance(value, Tensor):
            pass
        elif value is None or isinstance(value, bool | int | float | str | Tensor | Mapping | Sequence):
            spec[name] = _plain(value)
        elif comparing and not _is_buildable(kind):
            raise InputError(f"{kind.__name__} keeps {name}, which cannot be compared with that of another")
    return spec


def build(spec: Mapping[str, Any], base: type[Module], trust: Collection[str] = ()) -> Module:
    """The module that ``spec``, made by `describe`, describes; its weights are drawn afresh.

    Args:
        spec: as `describe` gives it.
        base: what the module must be.
        trust: packages whose modules are built too.

    Raises:
        InputError: if a class is not a module of partae nor an activation or loss of torch.nn, is no ``base``, or has
            no such argument; or if a value is not plain data, or there are more of them than in any model.
    """
    _check_plain(spec)
    return _build(spec, base, trust)


def restore(
    spec: Mapping[str, Any], weights: Mapping[str, Tensor], base: type[Module], trust: Collection[str] = ()
) -> Module:
    """The module that ``spec`` describes, with ``weights``, its state dict.

    Weights in double precision are rounded to the module's own. Those of a module that ``spec`` leaves out, as
    `describe` does of a user's own, are left out too.

    Raises:
        InputError: as `build` does; or if a weight is of another kind than the module's own, or is not finite.
        RuntimeError: if the weights do not fit.
    """
    # nothing is allocated before the weights are known to fit, but for a user's own class, which may need its values
    with nullcontext() if trust else torch.device("meta"):
        module = build(spec, base, trust)
    own, left_out = module.state_dict(), _arguments(type(module)).keys() - spec.keys()
    found = {}
    for name, tensor in weights.items():
        if name.partition(".")[0] in left_out:
            continue
        dtype = own[name].dtype if name in own else tensor.dtype
        if tensor.dtype not in (dtype, torch.float64):  # trainer.precision=64-true trains in double precision
            raise InputError(f"{name} must be {dtype}; got {tensor.dtype}")
        if not tensor.isfinite().all():
            raise InputError(f"{name} has values that are infinite or not a number: the training diverged")
        found[name] = tensor.to(dtype)
    module.load_state_dict(found, assign=True)
    return module


def _arguments(kind: type[nn.Module]) -> dict[str, inspect.Parameter]:
    """The constructor's arguments by name; a class without a constructor has none."""
    parameters = inspect.signature(kind).parameters
    return {name: item for name, item in parameters.items() if item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)}


def _plain(value: Any) -> Any:
    if isinstance(value, nn.Module):
        return describe(value)
    if isinstance(value, Tensor):
        return value.item()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _check_plain(spec: object) -> None:
    """Refuse all but nested plain data of a size that a model can have, counting what is shared each time."""
    pending, count = [spec], 0
    while pending:
        value = pending.pop()
        count += 1
        if isinstance(value, Mapping | list):
            pending += value.values() if isinstance(value, Mapping) else value
        elif not (value is None or isinstance(value, bool | int | float | str)):
            raise InputError(f"a {type(value).__name__} does not belong in a specification of partae")
        if count + len(pending) > MOST_VALUES:
            raise InputError("its specification has no end: it is not one of partae")


def _build(spec: Mapping[str, Any], base: type[Module], trust: Collection[str]) -> Module:
    kind = _resolve(spec.get(TARGET), trust)
    if not issubclass(kind, base):
        raise InputError(f"{kind.__name__} is not a {base.__name__}")
    arguments = {name: _build_value(value, trust) for name, value in spec.items() if name != TARGET}
    if unknown := arguments.keys() - _arguments(kind).keys() | arguments.keys() & PLACES:
        names = ", ".join(sorted(map(str, unknown)))
        raise InputError(f"{kind.__name__} has no argument {names}: it is not a specification of partae")
    return kind(**arguments)


def _build_value(value: Any, trust: Collection[str]) -> Any:
    if isinstance(value, Mapping):
        return _build(value, nn.Module, trust) if TARGET in value else dict(value)
    if isinstance(value, list):
        return [_build_value(item, trust) for item in value]
    return value


def _resolve(target: object, trust: Collection[str]) -> type[nn.Module]:
    """The class at the dotted path ``target``, checked by what it is: a path may lead to what a module imports."""
    kind = None
    dotted = target if isinstance(target, str) and PATH.fullmatch(target) else ""
    if dotted.startswith(_prefixes(("partae", "torch.nn", *trust))):
        path, _, name = dotted.rpartition(".")
        with suppress(ImportError, AttributeError):
            kind = getattr(importlib.import_module(path), name)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module) and _is_buildable(kind, trust)):
        what = f"{target!r:.200} is neither a module of partae nor an activation or loss of torch.nn"
        raise InputError(f"{what}: the file is refused{_advice(dotted, trust)}")
    return kind


def _is_buildable(kind: type[nn.Module], trust: Collection[str] = ()) -> bool:
    """Whether a trusted package defines the class, or partae, or torch.nn among its activations and losses."""
    return f"{kind.__module__}.".startswith((*BUILDABLE, *_prefixes(trust)))


def _prefixes(packages: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{package}." for package in packages)


def _advice(target: str, trust: Collection[str]) -> str:
    """What a user can do about a class that is not built: nothing where its package has none of a user's own."""
    package = target.partition(".")[0]
    if package in trust:
        return f". {package} is trusted, but Python finds no such module there: is it installed, or in PYTHONPATH?"
    if package in {"", "partae", "torch", *sys.stdlib_module_names}:
        return ""
    return (
        f". If you trust the code of {package}: partae.load(path, trust=['{package}']), evaluate.py trust=[{package}]"
    )
