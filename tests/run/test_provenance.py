from __future__ import annotations

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from partae.run.provenance import provenance_of_run, provenance_of_sweep, write_machine
from partae.run.run_folder import finish


def write_run(folder: Path, *overrides: str, seed: int = 0) -> Path:
    config = {
        "seed": seed,
        "latent_dim": 25,
        "data": {"source": {"_target_": "partae.data.Bars"}, "seed": 3, "batch_size": 64},
        "model": {"_target_": "partae.AutoEncoder"},
        "trainer": {"max_epochs": 7},
    }
    (folder / ".hydra").mkdir(parents=True)
    for name, content in (("config", config), ("overrides", list(overrides))):
        OmegaConf.save(OmegaConf.create(content), folder / ".hydra" / f"{name}.yaml")
    write_machine(folder, torch.device("cpu"))
    finish(folder, {}, 3725.4)
    return folder


def test_a_run_is_told_by_its_command_its_settings_and_its_machine(tmp_path: Path) -> None:
    found = provenance_of_run(write_run(tmp_path / "run", "data=bars", "name=my run"))
    assert found["Command"].endswith("""data=bars 'name=my run'""")
    assert found["Data"] == "Bars, seed 3"
    assert found["Model"] == "AutoEncoder, 25 atoms, seed 0"
    assert found["Training"] == "7 epochs, batches of 64 images"
    assert found["Time"] == "1:02:05"
    assert found["Device"].startswith("the CPU, threads: ")
    assert f"torch {torch.__version__.partition('+')[0]}" in found["Versions"]
    assert "max_epochs: 7" in found["Settings"]


def test_a_sweep_is_told_by_its_command_and_what_its_runs_share(tmp_path: Path) -> None:
    overrides = {
        "task": ["seed=0,1", "data=bars"],
        "hydra": ["hydra/launcher=stacked", "hydra.sweep.dir=x", "hydra.mode=MULTIRUN"],
    }
    OmegaConf.save(OmegaConf.create({"hydra": {"overrides": overrides}}), tmp_path / "multirun.yaml")
    runs = [write_run(tmp_path / str(seed), f"seed={seed}", "data=bars", seed=seed) for seed in (0, 1)]
    found = provenance_of_sweep(tmp_path, [provenance_of_run(run) for run in runs])
    assert found["Command"].endswith(" -m seed=0,1 data=bars hydra/launcher=stacked")
    assert found["Training"] == "7 epochs, batches of 64 images"
    assert not {"Model", "Settings"} & found.keys(), "they differ in the seed"


@pytest.mark.parametrize("override", ["model._target_=os.system", "name=${oc.env:HOME}"])
def test_no_command_is_shown_that_could_do_harm(override: str, tmp_path: Path) -> None:
    assert "Command" not in provenance_of_run(write_run(tmp_path / "run", override))


def test_what_a_folder_does_not_tell_is_left_out(tmp_path: Path) -> None:
    assert provenance_of_run(tmp_path) == provenance_of_sweep(tmp_path, []) == {}
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text("[damaged")
    assert provenance_of_run(tmp_path) == {}


def test_epochs_are_told_where_there_are_any_and_as_a_limit_where_they_may_end_early(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    file = folder / ".hydra" / "config.yaml"
    config = OmegaConf.load(file)
    OmegaConf.save(OmegaConf.merge(config, {"callbacks": {"early_stopping": {"patience": 1}}}), file)
    assert provenance_of_run(folder)["Training"] == "up to 7 epochs, batches of 64 images"
    OmegaConf.save(OmegaConf.merge(config, {"model": {"estimator": {"max_iter": 3}}}), file)
    assert "Training" not in provenance_of_run(folder)
