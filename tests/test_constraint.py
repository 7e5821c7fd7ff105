from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from partae import AutoEncoder
from partae.checks import InputError
from partae.constraint import HoyerSparseness, NonNegative, UnitNorm
from partae.metrics import hoyer_sparsity
from tests.conftest import Compose


class Watch(Callback):
    """Keeps the atoms and the bias after each step and at each validation."""

    def __init__(self) -> None:
        self.atoms: list[Tensor] = []
        self.bias: list[Tensor] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.on_validation_epoch_end(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, AutoEncoder)
        self.atoms.append(pl_module.atoms.detach().clone())
        self.bias.append(pl_module.decoder.bias.detach().clone())


@pytest.fixture
def watched(composed: Compose, garments: Path) -> Callable[..., Watch]:
    def train(*overrides: str) -> Watch:
        cfg = composed(f"data.source.root={garments}", "data.val_size=100", "latent_dim=5", *overrides)
        model, watch = instantiate(cfg.model), Watch()
        trainer = Trainer(
            max_epochs=2,
            accelerator="cpu",
            callbacks=[*instantiate(cfg.constraint).values(), watch],
            logger=False,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(model, instantiate(cfg.data))
        assert len(watch.atoms) > 4
        return watch

    return train


FEASIBLE: dict[str, Callable[[Tensor], Tensor]] = {
    "nonnegative": lambda atoms: atoms >= 0,
    "unit_interval": lambda atoms: (atoms >= 0) & (atoms <= 1),
    "unit_norm": lambda atoms: (atoms.flatten(1).norm(dim=1) - 1).abs() < 1e-5,
    "hoyer": lambda atoms: (atoms >= 0).flatten(1).all(dim=1) & ((hoyer_sparsity(atoms.flatten(1)) - 0.6).abs() < 1e-4),
}


@pytest.mark.parametrize("name", FEASIBLE)
def test_atoms_are_feasible_after_every_step_and_the_bias_is_free(name: str, watched: Callable[..., Watch]) -> None:
    watch = watched(f"constraint={name}")
    assert all(FEASIBLE[name](atoms).all() for atoms in watch.atoms)
    assert not all(FEASIBLE[name](bias[None]).all() for bias in watch.bias)


@pytest.mark.parametrize("name", FEASIBLE)
def test_the_bias_is_constrained_by_option(name: str, watched: Callable[..., Watch]) -> None:
    watch = watched(f"constraint={name}", f"constraint.{name}.bias=true")
    assert all(FEASIBLE[name](bias[None]).all() for bias in watch.bias[1:])  # a zero bias has no sparseness to keep
    assert watch.bias[-1].any()


@pytest.mark.parametrize("name", FEASIBLE)
def test_without_a_constraint_they_are_not(name: str, watched: Callable[..., Watch]) -> None:
    assert not any(FEASIBLE[name](atoms).all() for atoms in watched("constraint=none").atoms)


def test_constraints_are_applied_in_the_order_of_the_command_line(watched: Callable[..., Watch]) -> None:
    watch = watched("constraint=[nonnegative,unit_norm]")
    assert all(FEASIBLE["nonnegative"](atoms).all() for atoms in watch.atoms)
    assert all(FEASIBLE["unit_norm"](atoms).all() for atoms in watch.atoms)


def test_atoms_are_projected_before_the_first_step(composed: Compose) -> None:
    model, constraint = instantiate(composed("latent_dim=3").model), NonNegative()
    assert (model.atoms < 0).any()
    constraint.on_fit_start(SimpleNamespace(ckpt_path="of a run"), model)  # type: ignore[arg-type]
    assert (model.atoms < 0).any()
    constraint.on_fit_start(SimpleNamespace(ckpt_path=None), model)  # type: ignore[arg-type]
    assert (model.atoms >= 0).all()


def test_sparseness_is_that_of_a_whole_atom_with_all_its_channels() -> None:
    projected = HoyerSparseness(0.6).project(torch.randn(4, 3, 5, 5))
    assert FEASIBLE["hoyer"](projected).all()


def test_sparseness_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"constraint\.hoyer\.sparseness must be a number in \[0, 1\]; got 1\.1"):
        HoyerSparseness(1.1)


def test_a_stack_of_models_is_projected_as_each_alone() -> None:
    atoms, bias = torch.rand(3, 4, 1, 5, 5), torch.rand(3, 1, 5, 5)
    each = [(one.clone(), other.clone()) for one, other in zip(atoms, bias, strict=True)]
    constraint = UnitNorm(bias=True)
    constraint.apply(atoms, bias, stacked=True)
    for index, (alone, its_bias) in enumerate(each):
        constraint.apply(alone, its_bias)
        torch.testing.assert_close(atoms[index], alone)
        torch.testing.assert_close(bias[index], its_bias)
        torch.testing.assert_close(alone.flatten(1).norm(dim=1), torch.ones(4))
