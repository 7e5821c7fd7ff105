from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from pytorch_lightning import Callback, LightningModule, Trainer

from partae import AutoEncoder
from tests.conftest import Compose


class Watch(Callback):
    """Notes the smallest value of the atoms after each step, and at each validation."""

    def __init__(self) -> None:
        self.smallest: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, AutoEncoder)
        self.smallest.append(pl_module.atoms.min().item())

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, AutoEncoder)
        self.smallest.append(pl_module.atoms.min().item())


def smallest_while_training(composed: Compose, garments: Path, *overrides: str) -> tuple[list[float], AutoEncoder]:
    cfg = composed(f"data.source.root={garments}", "data.val_size=100", "latent_dim=5", *overrides)
    model, watch = instantiate(cfg.model), Watch()
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        callbacks=[*instantiate(cfg.constraint).values(), watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, instantiate(cfg.data))
    return watch.smallest, model


def test_atoms_are_nonnegative_after_every_step_and_the_bias_is_free(composed: Compose, garments: Path) -> None:
    smallest, model = smallest_while_training(composed, garments, "constraint=nonnegative")
    assert len(smallest) > 4
    assert min(smallest) >= 0
    assert (model.decoder.bias < 0).any()


def test_without_a_constraint_they_are_not(composed: Compose, garments: Path) -> None:
    smallest, _ = smallest_while_training(composed, garments, "constraint=none")
    assert max(smallest) < 0


def test_atoms_are_projected_before_the_first_step(composed: Compose) -> None:
    cfg = composed("constraint=nonnegative", "latent_dim=3")
    torch.manual_seed(0)
    model = instantiate(cfg.model)
    assert (model.atoms < 0).any()
    instantiate(cfg.constraint)["nonnegative"].on_fit_start(None, model)
    assert (model.atoms >= 0).all()
