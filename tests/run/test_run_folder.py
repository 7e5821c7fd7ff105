from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from partae.checks import InputError
from partae.run import resolvers
from partae.run.run_folder import begin, fail, finish, is_finished, status
from tests.conftest import Compose

HYDRA: Any = OmegaConf.create({"mode": RunMode.RUN, "overrides": {"task": ["seed=1"]}, "job": {"num": 0}})
SWEEP: Any = OmegaConf.merge(HYDRA, {"mode": RunMode.MULTIRUN})


def finished(cfg: DictConfig, folder: Path, hydra: Any = HYDRA) -> None:
    """Leave a finished run in ``folder``."""
    begin(cfg, hydra, folder)
    finish(folder, {}, 1.0)


def test_a_job_of_other_settings_is_refused_and_the_finished_one_stays(composed: Compose, tmp_path: Path) -> None:
    finished(composed("seed=1"), tmp_path)
    shown = ["fail_fast=true", "data.source.root=elsewhere", "~callbacks.hyperparameters", "trainer.profiler=simple"]
    shown += ["logger=[csv,tensorboard]", "callbacks=rich_progress_bar"]
    begin(composed("seed=1", "name=other", *shown), HYDRA, tmp_path)
    before = (tmp_path / ".hydra" / "config.yaml").read_bytes()
    with pytest.raises(InputError, match=r"other settings \(seed: 1 -> 2, sparsity\.beta: 0\.\d+ -> 0\.5\): choose"):
        begin(composed("seed=2", "sparsity.beta=0.5"), HYDRA, tmp_path)
    with pytest.raises(InputError, match=r"_target_: partae\.sparsity\.KL -> partae\.sparsity\.L2.* hydra\.run\.dir="):
        begin(composed("seed=1", "sparsity=l2"), HYDRA, tmp_path)
    with pytest.raises(InputError, match=r"another folder by name=, or remove this one"):
        begin(composed("seed=2"), SWEEP, tmp_path)
    with pytest.raises(InputError, match=r"seed: 1 -> 2\): resume= keeps the settings of a run"):
        begin(composed("seed=2", f"resume={tmp_path}"), HYDRA, tmp_path)
    begin(composed("seed=1", f"resume={tmp_path}"), HYDRA, tmp_path)
    assert (tmp_path / ".hydra" / "config.yaml").read_bytes() == before
    assert is_finished(tmp_path)


def test_the_images_that_a_job_saw_are_a_setting_and_where_they_lie_is_not(
    composed: Compose, some_arrays: Path, tmp_path: Path
) -> None:
    def images(root: Path) -> DictConfig:
        resolvers._sources.clear()  # as in another process
        return composed("data=arrays", f"data.source.root={root}")

    folder, moved = tmp_path / "job", tmp_path / "moved"
    finished(images(some_arrays), folder)
    shutil.copytree(some_arrays, moved)
    begin(images(moved), HYDRA, folder)
    pixels = np.load(moved / "train_images.npy")
    np.save(moved / "train_images.npy", 255 - pixels)
    with pytest.raises(InputError, match=r"other settings \(data\.source: its images were added to, removed or"):
        begin(images(moved), HYDRA, folder)
    shutil.rmtree(moved)
    with pytest.raises(OmegaConfBaseException, match="moved does not exist"):  # are they the same?
        begin(images(moved), HYDRA, folder)


def test_settings_are_kept_as_values_and_not_as_references(composed: Compose, tmp_path: Path) -> None:
    secret = "+logger.key=${oc.env:HOME}"
    escaped = ["data.seed=\\${seed}", "seed=3", secret.replace("$", "\\$")]  # by Hydra
    hydra: Any = OmegaConf.merge(HYDRA, {"overrides": {"task": escaped}})
    cfg = composed("data.seed=${seed}", "seed=3", secret)
    finished(cfg, tmp_path, hydra)
    kept = yaml.safe_load((tmp_path / ".hydra" / "config.yaml").read_text())
    assert (kept["data"]["seed"], kept["data"]["image_shape"]) == (3, [1, 28, 28])
    assert kept["model"]["encoder"] == "${encoder}"
    assert kept["logger"]["key"] == "${oc.env:HOME}"  # which may be a secret
    assert yaml.safe_load((tmp_path / ".hydra" / "overrides.yaml").read_text()) == ["data.seed=3", "seed=3", secret]
    begin(composed("data.seed=3", "seed=3", secret), hydra, tmp_path)


@pytest.mark.parametrize("name", [".hydra", "checkpoints", "checkpoints/sub", "checkpoints/last.ckpt", "hparams.yaml"])
def test_nothing_is_written_through_a_link(name: str, composed: Compose, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).symlink_to(tmp_path / "precious")  # which may be there or not
    (folder / "error.txt").symlink_to("error.txt")  # in a circle: it is replaced, and not written through
    with pytest.raises(InputError, match=rf"job/{name} is a symbolic link to .*precious, where nothing is overwritten"):
        begin(composed(), HYDRA, folder)
    assert not (tmp_path / "precious").exists()


@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe", b"- 1", b""])
def test_a_damaged_configuration_is_named(content: bytes, composed: Compose, tmp_path: Path) -> None:
    finished(composed(), tmp_path)
    (tmp_path / ".hydra" / "config.yaml").write_bytes(content)
    with pytest.raises(InputError, match=r"config\.yaml is damaged"):
        begin(composed(), HYDRA, tmp_path)


def test_settings_may_change_before_anything_is_trained(composed: Compose, tmp_path: Path) -> None:
    begin(composed("sparsity.p=1.5"), HYDRA, tmp_path)
    fail(tmp_path, InputError("sparsity.p must be less"))
    assert status(tmp_path) == "failed"
    begin(composed("sparsity.p=0.5"), HYDRA, tmp_path)
    assert status(tmp_path) == "unfinished"
