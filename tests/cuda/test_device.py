"""The pretended device finds what a GPU would refuse, or would wait for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from partae import AutoEncoder
from partae.callbacks import DenseSparseDense
from partae.constraint import Constraint
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.metrics import Measures, hoyer_sparsity
from partae.sparsity import KL
from tests.cuda.device import CUDA, Device, OnDevice

SHAPE = (1, 3, 3)
MEET = "tensors of two devices meet"


def model_on_device(sparsity: KL) -> AutoEncoder:
    return AutoEncoder(Dense(SHAPE, 4), Dictionary(SHAPE, 4), sparsity=sparsity).to(CUDA)


def images() -> Tensor:
    return torch.rand(5, *SHAPE).to(CUDA)


def plant_in_penalty() -> None:
    class Faulty(KL):
        def of_mean(self, activation: Tensor) -> Tensor:
            return super().of_mean(activation) + torch.zeros(1)

    model_on_device(Faulty()).losses(images())


def plant_in_constraint() -> None:
    class Faulty(Constraint):
        def project(self, atoms: Tensor) -> Tensor:
            return torch.maximum(atoms, torch.zeros(atoms.shape))

    model = model_on_device(KL())
    Faulty().apply(model.atoms, model.bias)


def plant_in_mask() -> None:
    mask = DenseSparseDense("atoms", begin=0, end=1, share=0.5)
    mask.mask = torch.ones(4, *SHAPE)
    mask.on_train_batch_end(None, model_on_device(KL()))  # type: ignore[arg-type]


def plant_in_metric() -> None:
    measures = Measures(4)  # nobody has moved it
    measures.update(model_on_device(KL()), images())


def plant_in_generator() -> None:
    torch.bernoulli(images(), generator=torch.Generator())


@pytest.mark.parametrize("plant", [plant_in_penalty, plant_in_constraint, plant_in_mask, plant_in_metric])
def test_a_planted_tensor_of_the_cpu_is_found(plant: Callable[[], None], device: Device) -> None:
    with pytest.raises(RuntimeError, match=MEET):
        plant()


def test_a_planted_generator_of_the_cpu_is_found(device: Device) -> None:
    with pytest.raises(RuntimeError, match="a generator of the CPU draws for the device"):
        plant_in_generator()


@pytest.mark.parametrize(
    "wait",
    [
        lambda values: values.sum().item(),
        lambda values: bool((values > 0).all()),
        lambda values: values.cpu(),
        lambda values: values.tolist(),
        lambda values: values[values > 0],
        lambda values: values.nonzero(),
        lambda values: values.unique(),
        lambda values: values + torch.tensor(1.0, device=CUDA),
        lambda values: values[torch.arange(2)],
        lambda values: values.copy_(torch.zeros(3)),
    ],
)
def test_waits_are_counted(wait: Callable[[Tensor], object], device: Device) -> None:
    values = torch.ones(3).to(CUDA)
    device.counts.waits.clear()
    wait(values)
    assert device.counts.waits.total() == 1


def test_launches_and_draws_are_counted(device: Device) -> None:
    values = torch.rand(3, 4, device=CUDA)
    device.counts.launches.clear()
    torch.addmm(values, values, torch.ones(4, 4, device=CUDA)).T[0].view(-1).add_(1)
    assert device.counts.launches == {"ones": 1, "addmm": 1, "add_": 1}
    assert not device.counts.draws
    torch.rand(2).to(CUDA)
    assert device.counts.draws.total() == 1


def test_a_scalar_of_the_cpu_is_counted(device: Device) -> None:
    (torch.ones(3).to(CUDA) * torch.tensor(2.0)).add_(1)
    assert device.counts.scalars.total() == 1


def test_it_computes_as_the_cpu_does(device: Device) -> None:
    plain = AutoEncoder(Dense(SHAPE, 4), Dictionary(SHAPE, 4), sparsity=KL())
    batch, copied = torch.rand(5, *SHAPE), AutoEncoder(Dense(SHAPE, 4), Dictionary(SHAPE, 4), sparsity=KL())
    copied.load_state_dict(plain.state_dict())
    copied.to(CUDA)
    for model, some in ((plain, batch), (copied, batch.to(CUDA))):
        sum(model.losses(some).values(), torch.zeros((), device=some.device)).backward()
    assert isinstance(copied.atoms.grad, OnDevice)
    torch.testing.assert_close(copied.atoms.grad.cpu(), plain.atoms.grad, rtol=0, atol=0)
    torch.testing.assert_close(hoyer_sparsity(batch.to(CUDA).flatten(1)).cpu(), hoyer_sparsity(batch.flatten(1)))
