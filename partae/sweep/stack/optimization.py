"""One optimizer and one schedule for all members of a stack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import ASGD, SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RAdam, RMSprop, Rprop
from torch.optim.lr_scheduler import LambdaLR

from partae.saving.checkpoints import OF_EACH_VALUE
from partae.schedule import by_step
from partae.sweep.stack.member import Member

# optimizers that treat every value by itself, so that a tensor may hold the values of several models
ELEMENTWISE = (ASGD, SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, RAdam, RMSprop, Rprop)


def groups_of(members: Iterable[Member]) -> list[list[Member]]:
    """The members in groups whose tensors an optimizer can treat as one: those of equal settings."""
    groups: list[list[Member]] = []
    for member in members:
        equal = (group for group in groups if _settings(group[0]) == _settings(member))
        if group := next(equal, None):
            group.append(member)
        else:
            groups.append([member])
    return groups


class Optimization:
    """The optimizer of the parameters of all members, and the schedule of its learning rates.

    The optimizer has a parameter group for each group of members. Its tensors are views of the stack's, of all members
    of the group at once: the host then has as little to do for many models as for one.

    Args:
        groups: the members in the order of the stack, by `groups_of`; all new, or all with a checkpoint of the same
            epoch.
        stacked: the parameters of the stack.
        steps: of the whole training.

    Attributes:
        optimizer: of all parameters.
        scheduler: of the learning rate of each parameter group.
    """

    def __init__(self, groups: Sequence[Sequence[Member]], stacked: Iterable[Tensor], steps: int) -> None:
        self.groups, self.stacked = groups, list(stacked)
        self.places: list[slice | int] = []  # of each group in the stack
        self.tensors: list[list[Tensor]] = []  # of each group, in the order of a model's parameters
        optimizers, stop = [], 0
        for group in groups:
            start, stop = stop, stop + len(group)
            place = slice(start, stop) if len(group) > 1 else start
            tensors = [each.detach()[place].requires_grad_(each.requires_grad) for each in self.stacked]
            self.places.append(place)
            self.tensors.append(tensors)
            optimizers.append(group[0].model.build_optimizer(cast("list[nn.Parameter]", tensors)))
        self.optimizer = optimizers[0]
        for other in optimizers[1:]:
            self.optimizer.add_param_group(other.param_groups[0])
            self.optimizer.state.update(other.state)  # Adagrad has one from the start
        self.scheduler = LambdaLR(self.optimizer, [by_step(group[0].model.schedule, steps) for group in groups])
        if groups[0][0].start:
            self._load()

    def optimizer_of(self, member: Member) -> Optimizer:
        """An optimizer of the parameters of ``member`` alone, whose state is the member's share of the stack's."""
        own = member.model.build_optimizer(member.model.parameters())
        own.state.update(cast("dict[Tensor, Any]", self.own_state(member)))
        return own

    def hand_out_gradients(self) -> None:
        """Give each tensor of the optimizer its share of the stack's gradients."""
        for place, tensors in zip(self.places, self.tensors, strict=True):
            for tensor, whole in zip(tensors, self.stacked, strict=True):
                tensor.grad = None if whole.grad is None else whole.grad[place]

    def own_state(self, member: Member) -> dict[nn.Parameter, dict[str, Any]]:
        """The optimizer's state of each parameter of ``member``, as that of its run alone; its tensors are views."""
        place, index = self._find(member)
        is_stacked = len(self.groups[place]) > 1
        return {
            parameter: {
                name: value[index] if is_stacked and _is_of_each_value(name, value) else value
                for name, value in self.optimizer.state[tensor].items()
            }
            for parameter, tensor in zip(member.model.parameters(), self.tensors[place], strict=True)
            if tensor in self.optimizer.state
        }

    def state_of(self, member: Member) -> dict[str, Any]:
        """The states of optimizer and schedule in a checkpoint of ``member``, as its run alone would write them."""
        place, _ = self._find(member)
        own, parameters = self.own_state(member), list(member.model.parameters())
        state = {
            number: {name: value.clone() if isinstance(value, Tensor) else value for name, value in own[each].items()}
            for number, each in enumerate(parameters)
            if each in own
        }
        settings = {**self.optimizer.param_groups[place], "params": list(range(len(parameters)))}
        schedule = {
            key: [value[place]] if isinstance(value, list) else value
            for key, value in self.scheduler.state_dict().items()
        }
        return {"optimizer_states": [{"state": state, "param_groups": [settings]}], "lr_schedulers": [schedule]}

    def _find(self, member: Member) -> tuple[int, int]:
        """The number of the group of ``member``, and its place there."""
        for number, group in enumerate(self.groups):
            for index, each in enumerate(group):
                if each is member:
                    return number, index
        raise ValueError(member)

    def _load(self) -> None:
        """Set optimizer and schedule to the checkpoints of the members."""
        whole = self.optimizer.state_dict()
        for settings, group in zip(whole["param_groups"], self.groups, strict=True):
            saved = [member.start["optimizer_states"][0] for member in group]
            settings |= {key: value for key, value in saved[0]["param_groups"][0].items() if key != "params"}
            for own, number in enumerate(settings["params"]):
                if own in saved[0]["state"]:
                    whole["state"][number] = _joined([each["state"][own] for each in saved])
        self.optimizer.load_state_dict(whole)
        schedules = [group[0].start["lr_schedulers"][0] for group in self.groups]
        of_groups = {
            key: [schedule[key][0] for schedule in schedules]
            for key, value in schedules[0].items()
            if isinstance(value, list)
        }
        self.scheduler.load_state_dict({**schedules[0], **of_groups})


def _joined(states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The optimizer's state of one parameter of several members."""
    if len(states) == 1:
        return states[0]
    return {
        name: torch.stack([state[name] for state in states]) if _is_of_each_value(name, value) else value
        for name, value in states[0].items()
    }


def _is_of_each_value(name: str, value: object) -> bool:
    return name in OF_EACH_VALUE and isinstance(value, Tensor)


def _settings(member: Member) -> tuple[Any, ...]:
    """All that members of one group must have in common; no two have it under an optimizer that needs them apart."""
    optimizer = member.model.optimizer
    alone = None if getattr(optimizer, "func", optimizer) in ELEMENTWISE else id(member)
    return getattr(optimizer, "keywords", None), member.model.schedule, alone
