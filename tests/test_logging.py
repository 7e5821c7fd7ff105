"""What a run writes to TensorBoard and to the screen."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from torch.utils.tensorboard.summary import hparams

import partae
from partae.run.build import hyperparameters
from tests.command_line import type_in
from tests.conftest import Compose, Run
from tests.events import events_of
from tests.test_train import MEASURES

BARS = ["data=bars", "data.source.train_size=60", "data.source.test_size=20", "data.val_size=20", "latent_dim=4"]
BARS += ["trainer.accelerator=cpu", "quiet=true"]


def test_tensorboard_holds_every_term_measure_picture_and_histogram(run: Run, tmp_path: Path) -> None:
    run("callbacks.gallery.every_n_epochs=1")
    tags: dict[str, set[str]] = {"scalars": set(), "images": set(), "histograms": set()}
    steps, hyperparameters = set(), set()
    for events in events_of(tmp_path / "run"):
        for kind in tags:
            tags[kind] |= set(events.Tags()[kind])
        if "train/loss" in events.Tags()["scalars"]:
            steps |= {event.step for event in events.Scalars("train/loss")}
        hyperparameters |= {tag for tag in events.summary_metadata if tag.startswith("_hparams_")}
    terms = {"loss", "reconstruction", "sparsity", "decay", "approximation"}
    assert {f"{split}/{term}" for split in ("train", "val") for term in terms} <= tags["scalars"]
    assert {f"{split}/{name}" for split in ("val", "test") for name in MEASURES} <= tags["scalars"]
    assert tags["images"] == {"atoms", "images"}
    assert tags["histograms"] == {"code/entries", "code/mean_activation_of_each_unit"}
    assert len(steps) == 2
    assert "_hparams_/session_start_info" in hyperparameters


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["sparsity.beta=0.5", "constraint=[nonnegative,unit_norm]"],
            {"sparsity": "KL", "sparsity.beta": 0.5, "constraint": "nonnegative, unit_norm", "decay": "NoDecay"},
        ),
        (["seed=3"], {"seed": 3}),
        (["encoder.hidden=[8,16]"], {"encoder.hidden": "[8, 16]"}),
        (["encoder.hidden=[]"], {"encoder.hidden": "[]"}),
        (["optimizer.betas=[0.5,0.9]"], {"optimizer.betas": "[0.5, 0.9]"}),
        (
            ["approximation=dilation", "approximation.operators=[dilation:2]"],
            {"approximation.operators": "[dilation:2]"},
        ),
        (["encoder.batch_norm=true"], {"encoder.batch_norm": True}),
        (["constraint=hoyer", "constraint.hoyer.sparseness=0.7"], {"constraint.hoyer.sparseness": 0.7}),
        (["model=sparse_nmf"], {"model.estimator.sparseness_of_atoms": "null"}),
        (["model=sparse_rbm", "model.steps=2"], {"model.steps": 2}),
    ],
)  # fmt: skip
def test_hyperparameters_name_every_class_and_its_values(
    overrides: list[str], expected: dict[str, Any], composed: Compose
) -> None:
    shown = hyperparameters(composed(*overrides))
    assert expected.items() <= shown.items()
    hparams(shown, {})  # accepts them all
    assert not any("_target_" in key or key.endswith(("image_shape", ".latent_dim")) for key in shown)


@pytest.mark.parametrize("none", ["none", "null"])
def test_without_a_logger_nothing_is_written_but_checkpoints_and_measures(none: str, tmp_path: Path) -> None:
    options = [*BARS, "trainer.max_epochs=1", f"logger={none}", "hydra.run.dir=run"]
    outcome = type_in("train.py", options, tmp_path)
    assert outcome.status == 0, outcome.err
    assert "tensorboard" not in outcome.out
    written = {
        path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*.*") if path.is_file()
    }
    configuration = {f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides")}
    configuration.add(".hydra/machine.json")
    assert written == {*configuration, "checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.json"}


def test_a_quiet_run_draws_no_bars(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("trainer.max_epochs=1")
    assert "Epoch 0" in "".join(capsys.readouterr())
    run("trainer.max_epochs=1", "quiet=true")
    assert "%" not in "".join(capsys.readouterr())


def test_a_run_says_first_what_it_trains(tmp_path: Path) -> None:
    out = type_in("train.py", [*BARS, "quiet=false", "trainer.max_epochs=1", "hydra.run.dir=run"], tmp_path).out
    images, model, place = [line for line in out.splitlines() if ": " in line][:3]
    assert images == "Images: Bars, 40 training, 20 validation, 20 test, of 1 x 8 x 8"
    assert model == "Model:  AutoEncoder, 4 atoms, 580 parameters"
    assert place.startswith("Trains on the CPU, threads: ")
    assert place.endswith(", writes to run")


def test_the_version_is_that_of_the_package() -> None:
    assert partae.__version__ == version("partae")


def test_a_checkout_that_is_not_installed_trains(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU machine without a network, a folder on the path is all there is."""

    def found(name: str) -> str:
        if name == "partae":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("importlib.metadata.version", found)
    assert partae.__version__ == "unknown"
    assert "test/reconstruction_error" in run()
    assert "partae unknown" in (tmp_path / "run" / ".hydra" / "machine.json").read_text()


def test_tab_after_partae_completes_what_there_is() -> None:
    assert {*partae.__all__, "plot", "figures"} <= {*dir(partae)}
    assert "importlib" not in dir(partae)
