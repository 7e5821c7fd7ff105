"""The optimizer of a stack against that of each model alone."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, Adafactor, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from partae import AutoEncoder
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.schedule import Constant, by_step
from partae.sweep.stack.member import Member
from partae.sweep.stack.optimization import ELEMENTWISE, Optimization, groups_of
from partae.sweep.stack.vectorized import Vectorized

RATES = (0.01, 0.02, 0.01)  # the first and the last model share their tensors
KINDS = {kind.__name__: kind for kind in (*ELEMENTWISE, Adafactor)} | {"momentum": partial(SGD, momentum=0.9)}


def model(seed: int, kind: Any, lr: float) -> AutoEncoder:
    torch.manual_seed(seed)
    decoder = Dictionary((1, 3, 3), 4, biased=False)
    return AutoEncoder(Dense((1, 3, 3), 4), decoder, optimizer=partial(kind, lr=lr))


def alone(model: AutoEncoder, images: Tensor, steps: int) -> dict[str, Any]:
    """What a checkpoint of its run holds after so many steps."""
    optimizer = model.build_optimizer(model.parameters())
    scheduler = LambdaLR(optimizer, by_step(Constant(), 9))
    for _ in range(steps):
        optimizer.zero_grad()
        torch.stack(list(model.losses(images).values())).sum().backward()
        optimizer.step()
        scheduler.step()
    return {"optimizer_states": [optimizer.state_dict()], "lr_schedulers": [scheduler.state_dict()]}


def stacked(members: list[Member], images: Tensor, steps: int) -> list[dict[str, Any]]:
    """The same of each member of a stack."""
    groups = groups_of(members)
    models = Vectorized([member.model for group in groups for member in group])
    models.move(torch.device("cpu"))
    optimization = Optimization(groups, models.parameters.values(), 9)
    for _ in range(steps):
        for tensor in models.parameters.values():
            tensor.grad = None
        losses, _ = models.losses(images)
        torch.stack(list(losses.values())).sum().backward()
        optimization.hand_out_gradients()
        optimization.optimizer.step()
        optimization.scheduler.step()
    return [optimization.state_of(member) for member in members]


@pytest.mark.parametrize("name", KINDS)
def test_a_checkpoint_holds_the_state_of_a_run_alone_also_after_a_resume(name: str) -> None:
    images = torch.rand(5, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    expected = [model(seed, KINDS[name], lr) for seed, lr in enumerate(RATES)]
    members = [Member(model(seed, KINDS[name], lr)) for seed, lr in enumerate(RATES)]
    states = [alone(each, images, 4) for each in expected]
    for member, start in zip(members, stacked(members, images, 2), strict=True):
        member.start = start
    for member, other, found, state in zip(members, expected, stacked(members, images, 2), states, strict=True):
        torch.testing.assert_close(list(member.model.parameters()), list(other.parameters()))
        torch.testing.assert_close(found, state)


@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_models_of_equal_settings_share_the_tensors_of_the_optimizer(kind: type[Optimizer]) -> None:
    members = [Member(model(seed, kind, lr)) for seed, lr in enumerate(RATES)]
    assert groups_of(members) == [[members[0], members[2]], [members[1]]]


def test_an_optimizer_that_looks_at_a_whole_tensor_keeps_each_model_apart() -> None:
    assert len(groups_of([Member(model(seed, Adafactor, 0.01)) for seed in range(3)])) == 3
