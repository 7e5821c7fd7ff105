"""A pretended CUDA device: it computes on the CPU, but keeps its tensors apart from those of the CPU, as a GPU does.

So a machine without a GPU shows where tensors of two devices meet, where the CPU waits for the device, where random
numbers are drawn, and how many kernels a step launches. It is no GPU: rounding, memory and time are those of the CPU.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch._library.custom_ops import _maybe_get_opdef
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

CUDA = torch.device("cuda", 0)
PARTAE = f"{Path(__file__).parents[2]}/partae/"
COPIES = {"_to_copy", "copy_"}  # which may cross from one device to the other
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
NO_KERNEL = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view"}
BY_VALUES = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
RANDOM = torch.Tag.nondeterministic_seeded


class OnDevice(Tensor):
    """A tensor on the pretended device.

    To PyTorch's core it is one on ``meta``, which needs no driver; to Python it is one on ``cuda:0``.

    Attributes:
        on_cpu: the same tensor there.
    """

    on_cpu: Tensor
    device = property(lambda _: CUDA)
    is_cuda = property(lambda _: True)
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, values: Tensor) -> OnDevice:
        strides, offset, dtype = values.stride(), values.storage_offset(), values.dtype
        meta = torch.device("meta")
        self: OnDevice = Tensor._make_wrapper_subclass(
            cls, values.shape, strides=strides, storage_offset=offset, dtype=dtype, device=meta
        )
        self.on_cpu = values
        return self

    @classmethod
    def __torch_dispatch__(cls, operator: OpOverload, *_: Any) -> Any:  # type: ignore[override]
        raise RuntimeError(f"{operator} is called on a tensor of the pretended device outside of it")

    @property
    def data(self) -> Tensor:
        return self.detach()

    @data.setter
    def data(self, other: Tensor) -> None:
        Tensor.data.__set__(self, other)  # type: ignore[attr-defined]
        self.on_cpu = cast("OnDevice", other).on_cpu

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise TypeError("can't convert a tensor on cuda:0 to numpy")
        return self.detach().cpu().numpy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            memo[id(self)] = copied = self.detach().clone().requires_grad_(self.requires_grad)
            copied.__dict__ |= {key: value for key, value in self.__dict__.items() if key != "on_cpu"}
        return cast("Tensor", memo[id(self)])

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.detach().cpu().__reduce_ex__(protocol)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnDevice({self.on_cpu!r})"


@dataclass
class Counts:
    """What has happened, as ``operator at file:line`` and how often.

    Attributes:
        launches: of kernels, by operator alone; a multi-tensor operator counts as one.
        waits: of the CPU for the device.
        draws: of random numbers on the CPU.
        scalars: of the CPU that met tensors of the device, which a GPU allows.
    """

    launches: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    draws: Counter[str] = field(default_factory=Counter)
    scalars: Counter[str] = field(default_factory=Counter)


class Device(TorchDispatchMode):
    """While it is entered, ``cuda:0`` is the pretended device.

    Attributes:
        counts: what has happened since they were set anew.
        steps: the counts of each training step under Lightning, from the batch to the last callback.
        random: the state of the device's own random numbers.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts, self.steps = Counts(), list[Counts]()
        self.seed(0)

    def seed(self, seed: int) -> None:
        self.random = torch.Generator().manual_seed(seed).get_state()

    def __torch_dispatch__(self, operator: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if operator._can_decompose():
            with self:
                return operator.decompose(*args, **kwargs)
        name, leaves = operator._schema.name.partition("::")[2], tree_leaves((args, kwargs))
        tensors = [each for each in leaves if isinstance(each, Tensor)]
        is_from_device = any(isinstance(tensor, OnDevice) for tensor in tensors)
        target = kwargs.get("device")
        is_to_device = is_from_device if target is None else target.type in ("cuda", "meta")
        if not (is_from_device or is_to_device):
            self.counts.draws.update([place(name)] if RANDOM in operator.tags else [])
            return operator(*args, **kwargs)
        # the device may be told by a tensor of the CPU where to look, which is copied there
        indices = [index for index in args[1] if index is not None] if name in INDEXING else []
        strangers = [each for each in tensors if not isinstance(each, OnDevice)]
        copied = [each for each in strangers if name in COPIES or any(each is index for index in indices)]
        if len(copied) < len(strangers):
            if any(each.ndim for each in strangers):
                where = ", ".join(f"{tuple(tensor.shape)} on {tensor.device}" for tensor in tensors)
                raise RuntimeError(f"tensors of two devices meet: {place(name)}: {where}")
            self.counts.scalars[place(name)] += 1
        if any(isinstance(each, torch.Generator) for each in leaves):
            raise RuntimeError(f"a generator of the CPU draws for the device: {place(name)}")
        if definition := _maybe_get_opdef(operator):  # one of partae's own: what it does in turn
            with self:
                return definition._init_fn(*args, **kwargs)
        if copied or not is_to_device or _is_masked(indices) or BY_VALUES & set(operator.tags):
            self.counts.waits[place(name)] += 1
        elif not operator.is_view and name not in NO_KERNEL:
            self.counts.launches[name] += 1
        if target is not None:
            kwargs["device"] = torch.device("cpu")
        plain_args, plain_kwargs = tree_map_only(OnDevice, lambda tensor: tensor.on_cpu, (args, kwargs))
        with self._generator() if RANDOM in operator.tags else nullcontext():
            result = operator(*plain_args, **plain_kwargs)
        if not is_to_device:
            return result
        known = {id(tensor.on_cpu): tensor for tensor in tensors if isinstance(tensor, OnDevice)}
        return tree_map_only(Tensor, lambda each: known[id(each)] if id(each) in known else OnDevice(each), result)

    @contextmanager
    def _generator(self) -> Iterator[None]:
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.random)
            yield
            self.random = torch.get_rng_state()


def _is_masked(indices: list[Tensor]) -> bool:
    """Whether an index is a mask, whose number of entries the CPU must know."""
    return any(index.dtype in (torch.bool, torch.uint8) for index in indices)


def place(name: str) -> str:
    """An operator's name, and the line of partae that calls it."""
    for frame, line in traceback.walk_stack(None):
        if (file := frame.f_code.co_filename).startswith(PARTAE):
            return f"{name} at {file.removeprefix(PARTAE)}:{line}"
    return f"{name} elsewhere"
