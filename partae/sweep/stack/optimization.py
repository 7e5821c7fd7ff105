"""One optimizer and one schedule for all members of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from partae.schedule import by_step
from partae.sweep.stack.member import Member


class Optimization:
    """The optimizer of the parameters of all members, and the schedule of its learning rates.

    Members of equal settings share a parameter group of the optimizer, which is quicker than a group for each.

    Args:
        members: all new, or all with a checkpoint of the same epoch.
        steps: of the whole training.

    Attributes:
        optimizer: of all parameters.
        scheduler: of the learning rate of each parameter group.
    """

    def __init__(self, members: Sequence[Member], steps: int) -> None:
        self.groups: list[list[Member]] = []
        for member in members:
            equal = (group for group in self.groups if _settings(group[0]) == _settings(member))
            if group := next(equal, None):
                group.append(member)
            else:
                self.groups.append([member])
        firsts = [group[0] for group in self.groups]
        optimizers = [
            first.model.build_optimizer(parameter for member in group for parameter in member.model.parameters())
            for first, group in zip(firsts, self.groups, strict=True)
        ]
        self.optimizer = optimizers[0]
        for other in optimizers[1:]:
            self.optimizer.add_param_group(other.param_groups[0])
        self.scheduler = LambdaLR(self.optimizer, [by_step(first.model.schedule, steps) for first in firsts])
        if members[0].start:
            self._load()

    def optimizer_of(self, member: Member) -> Optimizer:
        """An optimizer of the parameters of ``member`` alone, which shares their state with the stack's."""
        own = member.model.build_optimizer(member.model.parameters())
        every = self.optimizer.state
        own.state.update({each: every[each] for each in member.model.parameters() if each in every})
        return own

    def state_of(self, member: Member) -> dict[str, Any]:
        """The states of optimizer and schedule in a checkpoint of ``member``, as its run alone would write them."""
        place = next(place for place, group in enumerate(self.groups) if any(each is member for each in group))
        parameters = list(member.model.parameters())
        state = {
            number: self.optimizer.state[parameter]
            for number, parameter in enumerate(parameters)
            if parameter in self.optimizer.state
        }
        settings = {**self.optimizer.param_groups[place], "params": list(range(len(parameters)))}
        schedule = {
            key: [value[place]] if isinstance(value, list) else value
            for key, value in self.scheduler.state_dict().items()
        }
        return {"optimizer_states": [{"state": state, "param_groups": [settings]}], "lr_schedulers": [schedule]}

    def _load(self) -> None:
        """Set optimizer and schedule to the checkpoints of the members."""
        for group, settings in zip(self.groups, self.optimizer.param_groups, strict=True):
            for member in group:
                own = member.model.build_optimizer(member.model.parameters())
                own.load_state_dict(dict(member.start["optimizer_states"][0]))
                self.optimizer.state.update(own.state)
                settings.update({key: value for key, value in own.param_groups[0].items() if key != "params"})
        schedules = [group[0].start["lr_schedulers"][0] for group in self.groups]
        of_groups = {
            key: [schedule[key][0] for schedule in schedules]
            for key, value in schedules[0].items()
            if isinstance(value, list)
        }
        self.scheduler.load_state_dict({**schedules[0], **of_groups})


def _settings(member: Member) -> tuple[Any, ...]:
    """All that members of one parameter group must have in common."""
    return getattr(member.model.optimizer, "keywords", None), member.model.schedule
