"""One optimizer and one schedule for all members of a stack, which can tell each member's share of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from partae.saving.checkpoints import check_state
from partae.schedule import by_step
from partae.sweep.stack.member import Member


class Optimization:
    """The optimizer of the members' own parameters, and the schedule of its learning rates.

    Members of equal settings share a group of the optimizer, which is quicker than a group for each.

    Args:
        members: all of them new, or all with a checkpoint to go on from.
        steps: of the whole training.

    Attributes:
        optimizer: of all parameters.
        scheduler: of the learning rate of each group.
    """

    def __init__(self, members: Sequence[Member], steps: int) -> None:
        self.members = members
        settings = [(getattr(member.model.optimizer, "keywords", None), member.model.schedule) for member in members]
        distinct = [each for place, each in enumerate(settings) if settings.index(each) == place]
        self.groups = [distinct.index(each) for each in settings]
        firsts = [members[self.groups.index(group)] for group in range(len(distinct))]
        optimizers = [first.model.build_optimizer(self._parameters_of(group)) for group, first in enumerate(firsts)]
        self.optimizer = optimizers[0]
        for other in optimizers[1:]:
            self.optimizer.add_param_group(other.param_groups[0])
        self.scheduler = LambdaLR(self.optimizer, [by_step(first.model.schedule, steps) for first in firsts])
        if members[0].start:
            self._go_on([cast("Mapping[str, Any]", first.start) for first in firsts])

    def state_of(self, place: int) -> dict[str, Any]:
        """What the checkpoint of the member at ``place`` says of its optimizer and schedule, as its run alone would."""
        group, state = self.groups[place], self.optimizer.state
        parameters = list(self.members[place].model.parameters())
        own = {number: state[parameter] for number, parameter in enumerate(parameters) if parameter in state}
        settings = {**self.optimizer.param_groups[group], "params": list(range(len(parameters)))}
        scheduled = self.scheduler.state_dict().items()
        return {
            "optimizer_states": [{"state": own, "param_groups": [settings]}],
            "lr_schedulers": [
                {key: value[group : group + 1] if isinstance(value, list) else value for key, value in scheduled}
            ],
        }

    def _parameters_of(self, group: int) -> list[nn.Parameter]:
        members = [member for member, own in zip(self.members, self.groups, strict=True) if own == group]
        return [parameter for member in members for parameter in member.model.parameters()]

    def _go_on(self, starts: list[Mapping[str, Any]]) -> None:
        """Go to where the members' checkpoints are, of which ``starts`` has one for each group."""
        for member in self.members:
            own = member.model.build_optimizer(member.model.parameters())
            own.load_state_dict(cast("Mapping[str, Any]", member.start)["optimizer_states"][0])
            check_state(own)
            self.optimizer.state.update(own.state)
        for group, start in zip(self.optimizer.param_groups, starts, strict=True):
            saved = start["optimizer_states"][0]["param_groups"][0]
            group.update({key: value for key, value in saved.items() if key != "params"})
        states = [start["lr_schedulers"][0] for start in starts]
        lists = {
            key: [state[key][0] for state in states] for key, value in states[0].items() if isinstance(value, list)
        }
        self.scheduler.load_state_dict(states[0] | lists)
