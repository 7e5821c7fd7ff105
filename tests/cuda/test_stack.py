"""A stack of 32 models on the device: few launches a step, no waits, and the weights of the CPU's training."""

from __future__ import annotations

import torch
from hydra.utils import instantiate
from pytorch_lightning import Trainer

from partae.data import Batches, Order
from partae.sweep.stack import Member, Stack
from tests.conftest import Compose
from tests.cuda.device import CUDA, Device
from tests.cuda.test_steps import QUIET, REFUSED

MODELS, MOST_LAUNCHES, STEPS = 32, 96, 101


def test_a_step_of_a_stack_launches_few_kernels_and_never_waits(composed: Compose, device: Device) -> None:
    cfg = composed("sparsity=kl", "constraint=nonnegative", "data.batch_size=256", "data=bars", "latent_dim=4")
    images = torch.rand(STEPS * 256, *instantiate(cfg.data).image_shape).to(CUDA)
    batches = Batches(images, torch.zeros(len(images), dtype=torch.long).to(CUDA), 256, Order(len(images), seed=0))
    members = [Member(instantiate(cfg.model)) for _ in range(MODELS)]
    stack = Stack(members, list(instantiate(cfg.constraint).values()))
    Trainer(accelerator="gpu", max_epochs=1, deterministic=True, **QUIET).fit(stack, batches, batches)
    assert len(device.steps) == STEPS
    for step in device.steps[1:]:  # the first one also makes the optimizer's state, and fetches the epoch's order
        assert 50 < step.launches.total() <= MOST_LAUNCHES
        assert not step.waits
        assert not step.draws
        assert not step.scalars
        assert not [name for name in step.launches if REFUSED.match(name)]
    assert all(member.model.atoms.isfinite().all() for member in members)
