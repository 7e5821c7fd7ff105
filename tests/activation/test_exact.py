from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from partae.activation import BatchTopK, JumpReLU, TopK
from partae.checks import InputError
from partae.encoder import Dense, Unrolled
from partae.saving.specification import describe, restore

BUILD: dict[str, Callable[[], nn.Module]] = {
    "topk": lambda: TopK(2),
    "batch_topk": lambda: BatchTopK(2),
    "jump_relu": lambda: JumpReLU(3, threshold=0.5),
}


def test_top_k_keeps_the_largest_entries_of_each_code_even_where_they_are_equal() -> None:
    inputs = torch.randn(50, 20)
    code = TopK(4)(inputs)
    threshold = inputs.sort(dim=1, descending=True).values[:, 3:4]
    torch.testing.assert_close(code, torch.where(inputs >= threshold, inputs.clamp(min=0), 0))
    assert TopK(4)(torch.ones(5, 20)).sum(dim=1).tolist() == [4.0] * 5
    torch.testing.assert_close(TopK(30)(inputs), inputs.relu())


def test_a_batch_keeps_its_largest_entries_and_later_codes_keep_as_many_on_average() -> None:
    module = BatchTopK(4)
    for _ in range(200):
        inputs = torch.randn(50, 20)
        code = module(inputs)
        assert (code > 0).sum() == 4 * 50
        assert code[code > 0].min() >= inputs[code == 0].max()
    module.eval()
    inputs = torch.randn(5000, 20)
    code = module(inputs)
    assert (code > 0).sum(dim=1).float().mean() == pytest.approx(4, rel=0.03)
    torch.testing.assert_close(module(inputs[:1]), code[:1])


def test_a_batch_with_too_few_positive_inputs_keeps_them_all() -> None:
    module, inputs = BatchTopK(4), torch.full((3, 5), -1.0)
    inputs[0, 0] = 2
    torch.testing.assert_close(module(inputs), inputs.relu())
    torch.testing.assert_close(module.eval()(inputs), inputs.relu())


def test_jump_relu_has_the_derivative_of_its_input_and_the_estimate_of_its_threshold() -> None:
    module = JumpReLU(3, threshold=0.5, bandwidth=0.2).double()
    inputs = torch.rand(100, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(100, 3, dtype=torch.float64)
    code = module(inputs)
    assert code.tolist() == torch.where(inputs > 0.5, inputs, 0).tolist()
    (weights * code).sum().backward()
    torch.testing.assert_close(inputs.grad, torch.where(inputs > 0.5, weights, 0))
    near = (inputs.detach() - 0.5).abs() < 0.05
    by_threshold = (weights * near * (-1 / 0.2)).sum(dim=0)
    torch.testing.assert_close(module.log_threshold.grad, 0.5 * by_threshold)


def test_the_estimate_is_the_derivative_of_the_mean_over_many_inputs() -> None:
    inputs = torch.rand(1_000_000, 1, dtype=torch.float64)
    module = JumpReLU(1, threshold=0.5, bandwidth=0.05).double()
    module(inputs).mean().backward()
    # the mean of uniform inputs above t is (1 - t^2) / 2; by log t its derivative is -t^2
    torch.testing.assert_close(module.log_threshold.grad, torch.tensor([-0.25], dtype=torch.float64), atol=0, rtol=0.02)


@pytest.mark.parametrize("name", BUILD)
def test_an_encoder_with_it_is_built_again_from_its_description(name: str) -> None:
    encoder, images = Dense((1, 2, 2), 3, activation=BUILD[name]()), torch.rand(6, 1, 2, 2)
    assert encoder.code_range == (0, float("inf"))
    encoder(images)  # sets the threshold of a batch
    again = restore(describe(encoder), encoder.state_dict(), Dense)
    torch.testing.assert_close(again.eval()(images), encoder.eval()(images))


@pytest.mark.parametrize("name", ["topk", "jump_relu"])
def test_it_works_at_each_step_of_an_unrolled_encoder(name: str) -> None:
    assert Unrolled((1, 2, 2), 3, activation=BUILD[name]())(torch.rand(6, 1, 2, 2)).shape == (6, 3)


def test_an_unrolled_encoder_refuses_a_threshold_that_is_of_one_step() -> None:
    with pytest.raises(InputError, match=r"encoder=unrolled activates at each step.* encoder/activation=topk"):
        Unrolled((1, 2, 2), 3, activation=BatchTopK(2))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TopK(0), r"encoder\.activation\.l0 .* got 0"),
        (lambda: BatchTopK(1.5), r"encoder\.activation\.l0 .* got 1\.5"),  # type: ignore[arg-type]
        (lambda: JumpReLU(3, threshold=0.0), r"encoder\.activation\.threshold .* got 0\.0"),
        (lambda: JumpReLU(3, bandwidth=-1.0), r"encoder\.activation\.bandwidth .* got -1\.0"),
    ],
)
def test_bad_arguments_are_refused_by_key(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()
