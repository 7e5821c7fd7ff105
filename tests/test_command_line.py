"""What a user who types gets: help, and one message for what cannot be done."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.command_line import ROOT, type_in
from tests.conftest import Compose


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_help_explains_every_group_and_its_lines_compose(script: str, composed: Compose, tmp_path: Path) -> None:
    status, said, _ = type_in(script, ["--help"], tmp_path)
    assert status == 0
    if script == "train.py":
        explained = said.partition("\n  data  ")[2]
        groups = {folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir()} - {"hydra", "data"}
        assert {group for group in groups if group not in explained} == set()
    config = script.removesuffix(".py")
    lines = re.findall(rf"^  python {script}((?: (?!-m)\S+)*)", said, re.MULTILINE)
    assert len(lines) >= 3
    for line in lines:
        assert composed(
            *shlex.split(line.replace("<run folder>", "here").replace("<sweep folder>", "here")), config=config
        )


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [(["--help"], "Most used:"), (["quiett=1"], "there is no quiett"), (["-sc", "query=bash"], "data.batch_size=")],
    ids=["help", "mistyped", "completion"],
)
def test_neither_torch_nor_lightning_is_loaded_before_a_job(arguments: list[str], answer: str) -> None:
    outcome = subprocess.run(
        [sys.executable, "-X", "importtime", "train.py", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "COMP_LINE": "python train.py data.", "COMP_POINT": "100"},
    )
    assert answer in outcome.stdout + outcome.stderr
    loaded = set(re.findall(r"^import time:.*\| *(\w+)", outcome.stderr, re.MULTILINE))
    assert "hydra" in loaded
    assert not loaded & {"torch", "lightning_fabric", "pytorch_lightning"}


@pytest.fixture
def stopped(tmp_path: Path) -> Callable[..., str]:
    """Runs a script in ``tmp_path / "here"``, expects it to fail with a message, and returns that."""

    def run_script(script: str, *overrides: str) -> str:
        (tmp_path / "here").mkdir()
        status, printed, message = type_in(script, overrides, tmp_path / "here")
        assert (status, printed) == (1, "")
        assert "Traceback" not in message
        assert "says what images" not in message
        return message

    return run_script


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["train.py", "sparsity.betta=0.1"],
            ["no sparsity.betta: sparsity has beta, p;", "+sparsity.betta=0.1"],
        ),
        (["train.py", "sparsity=l1", "sparsity.p=0.1"], ["there is no sparsity.p: sparsity has beta;"]),
        (["train.py", "constraint.sparseness=0.1"], ["there is no constraint.sparseness: constraint has nonnegative"]),
        (["train.py", "sparsity.beta.x=1"], ["there is no sparsity.beta.x: sparsity.beta has no keys"]),
        (
            ["train.py", "decay.lambda_=0.1"],
            ["there is no decay.lambda_: decay is NoDecay, which takes no arguments: choose another decay"],
        ),
        (["train.py", "nothing=1"], ["there is no nothing: there are approximation, callbacks"]),
        (
            ["train.py", "data=bars", "data.source.test_size=60", "svm=report"],
            ["svm=report needs at least 100 images of each"],
        ),
        (["train.py", "sparsity=entropy"], ["no sparsity=entropy", "of your own, name their folder by --config-dir"]),
        (["train.py", "sparsity=kll"], ["no sparsity=kll: sparsity is one of epsilon_l1, ", "Did you mean kl?"]),
        (["train.py", "logger=[csv,tensorbord]"], ["no logger=tensorbord: ", " csv, ", "Did you mean tensorboard?"]),
        (["train.py", "max_epochs=2"], ["there is no max_epochs: there are ", "Did you mean trainer.max_epochs?"]),
        (["train.py", "model.optimizer.lr=0.1"], ["model.optimizer has no keys. Did you mean optimizer.lr?"]),
        (["train.py", "trainer.seed=1"], ["Did you mean seed or data.seed?"]),
        (["train.py", "sparsty=kl"], ["there is no sparsty", "Did you mean sparsity?"]),
        (["train.py", "encoder.activation=sigmod"], ["got 'sigmod'. Did you mean sigmoid?"]),
        (["train.py", "trainer=mps"], ["trainer.accelerator=mps, but PyTorch finds no such device", "cpu, or auto"]),
        (["train.py", "callbacks=early_stopping", "data.val_size=0"], ["early_stopping", "set data.val_size above 0"]),
        (
            ["train.py", "callbacks=early_stopping", "callbacks.early_stopping.monitor=val/los"],
            ["Did you mean val/loss?"],
        ),
        (["evaluate.py", "ckpt=.", "trust=mine"], ["trust must be a list", "trust=[my_package]; got mine"]),
        (["train.py", "latent_dim=0"], ["latent_dim", "0"]),
        (["train.py", "sparsity.p=1.5"], ["sparsity.p", "1.5"]),
        (["train.py", "seed=1.5"], ["seed", "1.5"]),
        (["train.py", "encoder.activation=identity"], ["sparsity=kl", "encoder.activation=identity"]),
        (["evaluate.py", "ckpt=nowhere.ckpt"], ["ckpt=nowhere.ckpt", "does not exist"]),
        (["evaluate.py", "ckpt=."], ["ckpt=.", "folder without a run"]),
        (["evaluate.py"], ["ckpt is missing: give it as ckpt=<value>"]),
        (["evaluate.py", "ckpt=.", "operators=[blur:1]"], ["operators", "blur"]),
        (["evaluate.py", "ckpt=.", "operators=[top_hat:line:4@45]"], ["operators", "odd length", "line:4@45"]),
        (["evaluate.py", "ckpt=.", "operators=[dilation:file:no/ring.txt]"], ["operators", "no/ring.txt", "no file"]),
        (["evaluate.py", "ckpt=.", "svm=slow"], ["svm", "slow"]),
        (["evaluate.py", "ckpt=.", "bias=no"], ["bias", "'no'"]),
        (["evaluate.py", "ckpt=.", "accelerator=abacus"], ["accelerator", "auto, gpu, cpu", "abacus"]),
        (["evaluate.py", "ckpt=[]"], ["ckpt", "[]"]),
        (["evaluate.py", "ckpt=.", "operators=null"], ["operators", "None"]),
        (["train.py", "encoder=null"], ["override", "NoneType", "encoder=null"]),
        (["train.py", "seed=${nowhere}"], ["Interpolation key 'nowhere' not found", "seed"]),
        (["train.py", "latent_dim=???"], ["latent_dim is missing"]),
        (["train.py", "name=${nowhere}"], ["Interpolation key 'nowhere' not found"]),
        (["train.py", "hydra.run.dir=/dev/null/run"], ["Not a directory: /dev/null/run", "another folder"]),
        (["train.py", "trainer.max_epochs={a:1}"], ["trainer.max_epochs", "{'a': 1}"]),
        (["train.py", "encoder=conv", "encoder.tied=true"], ["encoder=conv", "encoder.tied=true"]),
        (["train.py", "encoder.tied=no"], ["encoder.tied", "'no'"]),
        (["train.py", "+trainer.limit_val_batches=0"], ["trainer.limit_val_batches=0", "set data.val_size=0"]),
        (["train.py", "+trainer.limit_test_batches=0.0"], ["trainer.limit_test_batches=0", "leave it out"]),
        (
            ["train.py", "data=bars", "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "data.val_size=1"],
            ["2 devices cannot share 1 val images: lower trainer.devices or raise data.val_size"],
        ),
        (
            [
                "train.py",
                "data=bars",
                "trainer=ddp",
                "trainer.devices=2",
                "trainer.accelerator=cpu",
                "data.source.test_size=1",
            ],
            ["2 devices cannot share 1 test images: lower trainer.devices"],
        ),
        (["train.py", "encoder.hidden=512"], ["encoder.hidden", "512"]),
        (["train.py", "trainer.accelerator=abacus", "data=bars"], ["abacus"]),
        (
            ["train.py", "constraint=hoyer", "constraint.hoyer.sparseness=2", "data.source.root=DATA"],
            ["sparseness", "2"],
        ),
        (["train.py", "decay=l2", "decay.lambda_=-1"], ["decay.lambda_", "-1"]),
        (["train.py", "metric=val/beauty"], ["metric must be one of", "'val/beauty'"]),
        (["train.py", "metric=test/svm_accuracy"], ["metric must be one of", "'test/svm_accuracy'"]),
        (["train.py", "metric=null"], ["metric must be one of", "None"]),
        (["train.py", "metric=val/hoyer_sparsity", "model=nmf", "svm=slow"], ["svm must be one of", "'slow'"]),
        (["train.py", "fail_fast=maybe"], ["fail_fast must be true or false; got 'maybe'"]),
        (["train.py", "encoder=matching_pursuit"], ["encoder=matching_pursuit", "choose sparsity=none"]),
        (["train.py", "~sparsity._target_"], ["the settings of sparsity name no class", "got {'beta': "]),
        (["train.py", "experiment=figure_8"], ["a sweep over sparsity.p, sparsity.beta: add -m", "give each of"]),
        (["train.py", "hydra/launcher=stacked"], ["hydra/launcher=stacked concerns sweeps only: add -m"]),
        (["train.py", "hydra.sweep.dir=there"], ["hydra.sweep.dir=there concerns sweeps only: add -m"]),
        (["train.py", "-m", "resume=there"], ["resume=there continues one run: leave out -m"]),
        (["evaluate.py", "ckpt=a,b", "-m"], ["several models at once", "leave out -m"]),
        (["train.py", "reconstruction=bce"], ["reconstruction=bce", "decoder.activation=leaky_relu"]),
    ],
)
def test_wrong_input_gets_one_message_and_leaves_nothing(
    arguments: list[str], words: list[str], garments: Path, stopped: Callable[..., str], tmp_path: Path
) -> None:
    script, *overrides = (argument.replace("DATA", str(garments)) for argument in arguments)
    message = stopped(script, *overrides)
    assert all(word in message for word in words), message
    assert not [file for file in (tmp_path / "here").rglob("*") if file.is_file() and ".hydra" not in file.parts]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data=folder"], ["data.source.root is missing", "data.source.root=<value>"]),
        (["data=folder", "data.source.root=nowhere"], ["data.source.root=nowhere"]),
        (["data=folder", "data.source.root=IMAGES"], ["pixels", "data.source.size=[height,width]"]),
        (
            ["data=folder", "data.source.root=IMAGES", "data.source.size=[8,6]", "data.image_shape=[3,9,9]"],
            ["data.image_shape=[3, 9, 9]", "data.source", "[3, 8, 6]"],
        ),
        (
            ["data=arrays", "data.source.root=UNLIKE"],
            ["the test images of data.source.root=", "[1, 3, 4]"],
        ),
        (["data=arrays", "data.source.root=IMAGES"], ["train_images.npy is missing"]),
    ],
)
def test_images_that_cannot_be_used_get_one_message(
    overrides: list[str], words: list[str], images_of_odd_sizes: Path, stopped: Callable[..., str], tmp_path: Path
) -> None:
    unlike = tmp_path / "unlike.npz"
    np.savez(unlike, train_images=np.ones((20, 3, 3), np.float32), test_images=np.ones((5, 3, 4), np.float32))
    places = {"IMAGES": str(images_of_odd_sizes), "UNLIKE": str(unlike)}
    message = stopped("train.py", *(re.sub("IMAGES|UNLIKE", lambda name: places[name[0]], each) for each in overrides))
    assert all(word in message for word in words), message
    assert "InterpolationResolutionError" not in message
    assert "raised while" not in message


def test_a_flag_keeps_its_value_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "my=settings" / "sparsity").mkdir(parents=True)
    (tmp_path / "my=settings" / "sparsity" / "own.yaml").write_text("_target_: partae.sparsity.L1\nbeta: 0.125\n")
    typed = ["sparsity=own", "--config-dir", "my=settings", "latent_dim=8", "--cfg", "job", "-p", "sparsity"]
    assert "beta: 0.125" in type_in("train.py", typed, tmp_path).out
    assert "Defaults Tree" in type_in("train.py", ["data=bars", "--info", "defaults-tree"], tmp_path).out
    assert "Hydra" in type_in("train.py", ["data=bars", "--info"], tmp_path).out


def test_flags_may_stand_anywhere(tmp_path: Path) -> None:
    overrides = ["data=bars", "trainer.max_epochs=0", "-m", "seed=0,1"]
    status, _, message = type_in("train.py", overrides, tmp_path)
    assert status == 1
    assert message.count("trainer.max_epochs must be a whole number") == 2


def test_a_run_and_a_sweep_do_not_share_a_folder(tmp_path: Path) -> None:
    short = ["data=bars", "trainer.max_epochs=1", "trainer.accelerator=cpu", "latent_dim=4", "quiet=true"]
    assert type_in("train.py", [*short, "hydra.run.dir=run"], tmp_path).status == 0
    assert type_in("train.py", [*short, "-m", "seed=0,1", "hydra.sweep.dir=sweep"], tmp_path).status == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    outcome = type_in("train.py", [*short, "-m", "seed=0,1", "hydra.sweep.dir=run"], tmp_path)
    assert "run is the folder of a run: choose another for this sweep by hydra.sweep.dir=" in outcome.err
    outcome = type_in("train.py", [*short, "hydra.run.dir=sweep"], tmp_path)
    assert "sweep is the folder of a sweep: choose another for this run by hydra.run.dir=" in outcome.err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "words", "jobs"),
    [
        (["hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials must be a whole number, at least 1; got 0", 0),
        (["hydra.sweeper.n_trials=3", "metric=val/los"], "metric must be one of", 1),
        (["hydra.sweeper.n_trials=3", "data.val_size=0"], "set data.val_size above 0", 1),
        (["hydra.sweeper.n_trials=2", "encoder.activation=relu"], "no job of the search has finished", 2),
    ],
)
def test_a_search_that_cannot_find_anything_ends_with_one_message(
    wrong: list[str], words: str, jobs: int, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    arguments = ["-m", "experiment=search", "data=bars", "trainer.accelerator=cpu", *wrong]
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "Continue" not in done.stdout  # the same command would fail again
    assert len(list(tmp_path.glob("outputs/search/*/error.txt"))) == jobs


def test_a_corrupt_data_file_stops_a_run_before_it_starts(
    garments: Path, stopped: Callable[..., str], tmp_path: Path
) -> None:
    file = garments / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    message = stopped("train.py", f"data.source.root={garments}")
    assert f"{file} is truncated, altered or another set's" in message
    assert not [path for path in (tmp_path / "here").rglob("*") if path.is_file() and ".hydra" not in path.parts]
