"""A training that diverges stops with a message and leaves no damage; the edges of what trains."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import partae
from partae import AutoEncoder
from partae.checks import InputError
from tests.conftest import Run


def test_divergence_keeps_the_last_good_checkpoint(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_epoch_start = AutoEncoder.on_train_epoch_start

    def spoil(model: AutoEncoder) -> None:
        on_epoch_start(model)
        if model.current_epoch == 1:
            model.encoder.last.weight.data[0] = float("inf")

    monkeypatch.setattr(AutoEncoder, "on_train_epoch_start", spoil)
    with pytest.raises(InputError, match=r"training diverged in epoch 1, step 7 \(mean losses: reconstruction"):
        run()
    assert all(tensor.isfinite().all() for tensor in partae.load(tmp_path / "run").state_dict().values())
    assert torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 0


ONE_BATCH = ["data.batch_size=1000", "schedule=constant"]
NO_VALIDATION = ["data.val_size=0", "metric=test/reconstruction_error", "schedule=constant"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["optimizer.lr=1e30"], r"training diverged in epoch 0, step \d+ \(mean losses: reconstruction"),
        # in the last step of an epoch
        (["optimizer.lr=1e30", *ONE_BATCH], r"training diverged in epoch 0, step 1 \(measures of validation: "),
        # a step of several batches counts once
        (
            ["optimizer.lr=1e30", *NO_VALIDATION, "+trainer.accumulate_grad_batches=3"],
            r"training diverged in epoch 0, step 2 \(mean losses",
        ),
        (["optimizer.lr=1e30", *NO_VALIDATION, *ONE_BATCH], r"diverged in epoch|which JSON cannot hold"),
        (["optimizer.lr=3e38", *NO_VALIDATION, *ONE_BATCH], r"diverged in epoch|which JSON cannot hold"),
    ],
)
def test_divergence_stops_the_run_and_leaves_no_measures_and_no_checkpoint_that_is_not_finite(
    run: Run, tmp_path: Path, options: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(*options)
    assert not (tmp_path / "run" / "metrics.json").exists()
    for file in (tmp_path / "run").rglob("*.ckpt"):
        assert NO_VALIDATION[0] in options  # else it was validated first
        weights = torch.load(file, weights_only=True)["state_dict"]
        assert all(tensor.isfinite().all() for tensor in weights.values())


def test_the_message_names_an_optimizer_that_cannot_be_built(run: Run) -> None:
    with pytest.raises(InputError, match=r"optimizer cannot be built with lr=abc, betas=\[0.5, 0.999\]"):
        run("optimizer.lr=abc")


@pytest.mark.parametrize("smallest", ["latent_dim=1", "data.batch_size=1", "data.batch_size=100000"])
def test_the_smallest_and_the_largest_sizes_train(run: Run, smallest: str) -> None:
    brief = ["trainer.max_epochs=1", "+trainer.limit_train_batches=3", "callbacks=revival"]
    measures = run("encoder.hidden=[6]", "encoder.batch_norm=true", *brief, smallest)
    assert all(math.isfinite(value) for value in measures.values())
