from __future__ import annotations

import pytest
import torch
from sklearn.metrics import log_loss, mean_squared_error
from torch._subclasses.fake_tensor import FakeTensorMode

from partae.reconstruction import BCE, MSE


def test_mse_equals_scikit_learn() -> None:
    images, reconstruction = torch.rand(4, 1, 5, 5), torch.rand(4, 1, 5, 5)
    expected = mean_squared_error(images.flatten(), reconstruction.flatten())
    assert MSE()(reconstruction, images).item() == pytest.approx(expected)


def test_bce_equals_scikit_learn_on_black_and_white_images() -> None:
    images, reconstruction = torch.rand(4, 1, 5, 5).round(), torch.rand(4, 1, 5, 5)
    expected = log_loss(images.flatten().numpy(), reconstruction.double().flatten().numpy())
    assert BCE()(reconstruction, images).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [MSE(), BCE()])
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_losses_are_in_full_precision_where_a_gpu_mixes(loss: torch.nn.Module, half: torch.dtype) -> None:
    before = torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", half)
    try:
        with FakeTensorMode():  # shapes and types as on a GPU, without one
            images, reconstruction = torch.rand(2, 2, 1, 4, 4, device="cuda")
            assert loss(reconstruction.to(half), images).dtype == torch.float32
    finally:
        torch.set_autocast_dtype("cuda", before)
        torch.set_autocast_enabled("cuda", False)


@pytest.mark.parametrize("loss", [MSE(), BCE()])
def test_losses_have_the_right_gradient_and_are_least_at_the_images(loss: torch.nn.Module) -> None:
    images = torch.rand(2, 1, 3, 3, dtype=torch.float64).mul(0.8).add(0.1)
    reconstruction = images.clone().requires_grad_()
    value = loss(reconstruction, images)
    (gradient,) = torch.autograd.grad(value, reconstruction)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-12, rtol=0)
    other = torch.rand_like(images).requires_grad_()
    assert loss(other, images) > value
    assert torch.autograd.gradcheck(lambda x: loss(x, images), other)


@pytest.mark.parametrize("loss", [MSE(), BCE()])
def test_a_pixel_that_is_not_a_number_makes_the_loss_not_a_number(loss: torch.nn.Module) -> None:
    images, reconstruction = torch.rand(2, 2, 1, 3, 3)
    reconstruction[1, 0, 2, 2] = torch.nan
    assert loss(reconstruction.requires_grad_(), images).isnan()
    # as a stack of models takes it: only the one that diverged has no loss
    together = torch.func.vmap(loss)(reconstruction.detach(), images)
    assert together.isnan().tolist() == [False, True]


def test_bce_is_that_of_torch_to_the_last_bit() -> None:
    images, given = torch.rand(2, 4, 1, 5, 5)
    given[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    ours, theirs = given.clone().requires_grad_(), given.clone().requires_grad_()
    BCE()(ours, images).backward()
    torch.nn.functional.binary_cross_entropy(theirs, images).backward()
    assert torch.equal(BCE()(given, images), torch.nn.functional.binary_cross_entropy(given, images))
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.equal(ours.grad, theirs.grad)
