"""Every yaml of every group composes and instantiates; every penalty keeps what all penalties promise."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize
from hydra.errors import ConfigCompositionException
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

CONF = Path(__file__).parent.parent / "conf"
YAMLS = sorted(
    (file.parent.name, file.stem) for file in CONF.glob("*/*.yaml") if file.parent.name != "experiment"
)  # fmt: skip


def composed(*overrides: str) -> DictConfig:
    places = ["callbacks.checkpoint.dirpath=null", "logger.save_dir=.", "trainer.default_root_dir=."]
    with initialize(version_base="1.3", config_path="../conf"):
        return compose("train", overrides=[*places, *overrides])


def names(group: str) -> list[str]:
    return [name for folder, name in YAMLS if folder == group]


def test_the_groups_are_found() -> None:
    assert {"data", "model", "encoder", "decoder", "sparsity", "constraint", "optimizer", "trainer"} <= {
        group for group, _ in YAMLS
    }


@pytest.mark.parametrize(("group", "name"), YAMLS)
def test_every_yaml_composes_and_instantiates(group: str, name: str) -> None:
    part = composed(f"{group}={name}")[group]
    built = instantiate(part)
    assert built is not None


@pytest.mark.parametrize(("group", "name"), YAMLS)
def test_every_yaml_opens_with_the_command_that_runs_it(group: str, name: str) -> None:
    first = (CONF / group / f"{name}.yaml").read_text().splitlines()[0]
    assert first.startswith("# python ")


def test_a_key_that_is_no_argument_is_refused_by_name() -> None:
    with pytest.raises(ConfigCompositionException, match=r"sparsity\.betta"):
        composed("sparsity.betta=0.1")


def penalties() -> list[nn.Module]:
    return [instantiate(composed(f"sparsity={name}").sparsity).double() for name in names("sparsity")]


def code(batch: int = 12) -> Tensor:
    return torch.rand(batch, 5, dtype=torch.float64).mul(0.8).add(0.1)


@pytest.mark.parametrize("penalty", penalties(), ids=names("sparsity"))
class TestSparsity:
    def test_is_a_finite_scalar_at_least_zero(self, penalty: nn.Module) -> None:
        value = penalty(code())
        assert value.shape == ()
        assert torch.isfinite(value)
        assert value >= 0

    def test_does_not_depend_on_the_batch_size(self, penalty: nn.Module) -> None:
        batch = code()
        torch.testing.assert_close(penalty(torch.cat([batch, batch])), penalty(batch))

    def test_gradient_is_right(self, penalty: nn.Module) -> None:
        if penalty(code().requires_grad_()).requires_grad:
            assert torch.autograd.gradcheck(penalty, code().requires_grad_())
        else:
            assert type(penalty).__name__ == "NoSparsity"

    def test_twenty_gradient_steps_lower_it(self, penalty: nn.Module) -> None:
        logits = torch.logit(code()).requires_grad_()
        before = penalty(torch.sigmoid(logits))
        if not before.requires_grad:
            assert type(penalty).__name__ == "NoSparsity"
            return
        optimizer = torch.optim.Adam([logits], lr=0.05)
        for _ in range(20):
            optimizer.zero_grad()
            penalty(torch.sigmoid(logits)).backward()
            optimizer.step()
        assert penalty(torch.sigmoid(logits)) < before
