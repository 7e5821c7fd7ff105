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
    lines = (CONF / group / f"{name}.yaml").read_text().splitlines()
    assert lines[lines[0].startswith("# @package")].startswith("# python ")


def test_a_key_that_is_no_argument_is_refused_by_name() -> None:
    with pytest.raises(ConfigCompositionException, match=r"sparsity\.betta"):
        composed("sparsity.betta=0.1")


def built(group: str) -> list[nn.Module]:
    return [instantiate(composed(f"{group}={name}")[group]).double() for name in names(group)]


def code(batch: int = 12) -> Tensor:
    return torch.rand(batch, 5, dtype=torch.float64).mul(0.8).add(0.1)


def atoms() -> Tensor:
    return torch.randn(4, 1, 3, 3, dtype=torch.float64)


def is_none(penalty: nn.Module) -> bool:
    return type(penalty).__name__ in ("NoSparsity", "NoDecay", "IntrinsicPlasticity")


def check_promises(penalty: nn.Module, argument: Tensor) -> None:
    """A penalty is a finite scalar, at least 0, with the right gradient, which lowers it."""
    value = penalty(argument)
    assert value.shape == ()
    assert torch.isfinite(value)
    assert value >= 0
    if is_none(penalty):
        assert value == 0
        return
    assert torch.autograd.gradcheck(penalty, argument.clone().requires_grad_())
    free = argument.clone().requires_grad_()
    optimizer = torch.optim.Adam([free], lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        penalty(free).backward()
        optimizer.step()
    assert penalty(free) < value


@pytest.mark.parametrize("penalty", built("sparsity"), ids=names("sparsity"))
def test_every_sparsity_keeps_what_penalties_promise(penalty: nn.Module) -> None:
    check_promises(penalty, code())
    batch = code()
    torch.testing.assert_close(penalty(torch.cat([batch, batch])), penalty(batch))


@pytest.mark.parametrize("penalty", built("decay"), ids=names("decay"))
def test_every_decay_keeps_what_penalties_promise(penalty: nn.Module) -> None:
    check_promises(penalty, atoms())
    assert penalty(torch.zeros_like(atoms())) == 0
