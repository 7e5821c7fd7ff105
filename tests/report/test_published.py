from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize
from omegaconf import OmegaConf

import partae.run.resolvers  # noqa: F401 - conf/ refers to them
from partae.data import KMNIST, Bars, FashionMNIST
from partae.report.published import published_measures
from partae.sweep.selection import read_published

KL = ["sparsity.p=0.05", "sparsity.beta=0.001"]


def config(*overrides: str) -> Any:
    """The configuration of a run, as its folder keeps it."""
    with initialize(version_base="1.3", config_path="../../conf"):
        return OmegaConf.to_container(compose("train", overrides=list(overrides)))


def test_a_published_model_is_recognised_by_what_it_is_made_of() -> None:
    assert published_measures(config(*KL))["reconstruction_error"] == 0.0164
    assert published_measures(config(*KL, "seed=3", "trainer.max_epochs=2")) == published_measures(config(*KL))
    assert published_measures(config("sparsity=none", "constraint=none"))["max_approximation_error"] == 18.24
    assert published_measures(config("model=sparse_nmf"))["hoyer_sparsity"] == 0.6504


@pytest.mark.parametrize(
    "other",
    [
        "model=asymmetric",
        "encoder=unrolled",
        "encoder.hidden=[512]",
        "latent_dim=50",
        "data=bars",
        "data=kmnist",
        "corruption=masking",
        "decay=l2",
        "approximation=dilation",
        "constraint=none",
        "constraint=[nonnegative,unit_norm]",
        "sparsity.p=0.06",
        "sparsity=l1",
        "model=nmf",
        "encoder.activation=logistic",
        "decoder.activation=sigmoid",
        "encoder.tied=true",
        "callbacks=revival",
        "callbacks=dense_sparse_dense",
    ],
)
def test_another_model_is_not_taken_for_a_published_one(other: str) -> None:
    overrides = [each for each in KL if other != "sparsity=l1"]
    assert published_measures(config(*overrides, other)) == {}


@pytest.mark.parametrize("strange", ["text", 3, None, [], {"_target_": 3}])
def test_a_folder_may_say_anything_of_itself(strange: Any) -> None:
    own = config(*KL)
    known = published_measures(own)
    for key in own:
        assert published_measures({**own, key: strange, "latent_dim": 100}) in ({}, known)


def test_nothing_was_published_of_other_images_than_a_model_was_trained_on(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    OmegaConf.save(config(*KL), tmp_path / ".hydra" / "config.yaml")
    file = tmp_path / "checkpoints" / "last.ckpt"
    assert read_published(file, {}, FashionMNIST(tmp_path))["reconstruction_error"] == 0.0164
    assert read_published(file, {}, KMNIST(tmp_path)) == {}
    assert read_published(file, {}, Bars()) == {}
