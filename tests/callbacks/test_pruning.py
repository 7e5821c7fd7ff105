from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from pytorch_lightning import Callback, LightningModule, Trainer

from partae import AutoEncoder
from partae.callbacks.pruning import DenseSparseDense, large_values
from partae.checks import InputError
from partae.constraint import HoyerSparseness
from tests.conftest import Compose


class Zeros(Callback):
    """The share of zeros after each step: of the atoms, and of the code in training."""

    def __init__(self) -> None:
        self.atoms: list[list[float]] = []
        self.code: list[list[float]] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        self.atoms.append([])
        self.code.append([])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, _: int
    ) -> None:
        assert isinstance(pl_module, AutoEncoder)
        self.atoms[-1].append((pl_module.atoms == 0).float().mean().item())
        self.code[-1].append((pl_module.encode(batch[0]) == 0).float().mean().item())


def zeros_of_epochs(composed: Compose, garments: Path, pruning: DenseSparseDense) -> Zeros:
    cfg = composed(f"data.source.root={garments}", "data.val_size=100", "data.batch_size=100", "latent_dim=10")
    zeros = Zeros()
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=4, accelerator="cpu", callbacks=[pruning, zeros], **quiet, enable_model_summary=False)
    trainer.fit(instantiate(cfg.model), instantiate(cfg.data))
    return zeros


def test_atoms_are_held_at_zero_in_the_sparse_phase_only(composed: Compose, garments: Path) -> None:
    zeros = zeros_of_epochs(composed, garments, DenseSparseDense("atoms", begin=1, end=3, share=0.4)).atoms
    assert max(zeros[0]) == 0
    assert min(zeros[1] + zeros[2]) == max(zeros[1] + zeros[2]) == pytest.approx(0.4, abs=1e-3)
    assert max(zeros[3]) < 0.1


def test_small_entries_of_the_code_are_cut_in_the_sparse_phase_only(composed: Compose, garments: Path) -> None:
    zeros = zeros_of_epochs(composed, garments, DenseSparseDense("code", begin=1, end=3, share=0.4)).code
    assert max(zeros[0] + zeros[3]) == 0
    assert zeros[1] + zeros[2] == pytest.approx([0.4] * 6, abs=1e-3)


def test_what_is_kept_is_larger_than_what_is_cut() -> None:
    values = torch.randn(20, 5)
    mask = large_values(values, share=0.3, threshold=None)
    assert mask.mean() == pytest.approx(0.7)
    assert values.abs()[mask == 1].min() > values.abs()[mask == 0].max()
    torch.testing.assert_close(large_values(values, None, threshold=0.5), (values.abs() > 0.5).float())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"give one of callbacks\.pruning\.share and callbacks\.pruning\.threshold; got None and None"),
        ({"share": 0.5, "threshold": 0.1}, "got 0.5 and 0.1"),
        ({"share": 1.5}, r"callbacks\.pruning\.share .* got 1\.5"),
        ({"share": 0.5, "begin": 5, "end": 5}, r"callbacks\.pruning\.end .* at least 6; got 5"),
        ({"share": 0.5, "target": "bias"}, r"callbacks\.pruning\.target must be one of atoms, code; got 'bias'"),
    ],
)
def test_bad_arguments_are_refused_by_key(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DenseSparseDense(**arguments)


def test_a_constraint_that_would_fill_the_cut_atoms_is_refused(composed: Compose, garments: Path) -> None:
    cfg = composed(f"data.source.root={garments}", "data.val_size=100", "latent_dim=10")
    callbacks = [DenseSparseDense(share=0.4), HoyerSparseness()]
    trainer = Trainer(max_epochs=1, accelerator="cpu", callbacks=callbacks, logger=False, enable_checkpointing=False)
    with pytest.raises(InputError, match="constraint=hoyer fills atoms that callbacks=dense_sparse_dense has cut"):
        trainer.fit(instantiate(cfg.model), instantiate(cfg.data))
