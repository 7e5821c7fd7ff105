"""End to end: train.py and evaluate.py."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import partae
from evaluate import evaluate
from partae import AutoEncoder
from partae.checks import InputError
from partae.data import DataModule, FashionMNIST, Order, Swimmer
from partae.metrics import codes, measure, negative_mass, negative_share, part_recovery
from partae.morphology import dilation
from tests.conftest import Compose
from train import hyperparameters, train

ROOT = Path(__file__).parent.parent
MEASURES = {
    "reconstruction_error",
    "hoyer_sparsity",
    "max_approximation_error",
    "max_approximation_error_of_reconstruction",
    "dead_atoms",
    "mean_activation",
}
Run = Callable[..., dict[str, float]]


@pytest.fixture
def run(composed: Compose, garments: Path, tmp_path: Path) -> Run:
    """Trains two epochs on a small Fashion-MNIST into ``tmp_path / "run"``, which it empties first."""

    def train_in(*overrides: str) -> dict[str, float]:
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        small = [f"data.source.root={garments}", "data.val_size=100", "data.batch_size=50", "latent_dim=8"]
        brief = ["trainer.max_epochs=2", "trainer.accelerator=cpu", "callbacks.gallery.every_n_epochs=1"]
        return train(composed(*small, *brief, *overrides), folder)

    return train_in


def test_a_run_leaves_its_measures_checkpoints_and_events(run: Run, tmp_path: Path) -> None:
    measures = run()
    folder = tmp_path / "run"
    written = json.loads((folder / "metrics.json").read_text())
    assert written.pop("wall_time") > 0
    assert written == measures
    assert {f"{split}/{name}" for split in ("val", "test") for name in MEASURES} <= measures.keys()
    assert {file.name for file in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    model = partae.load(folder)
    assert isinstance(model, AutoEncoder)
    assert (model.atoms >= 0).all()
    assert model.atoms.shape == (8, 1, 28, 28)


@pytest.mark.filterwarnings("ignore:It is recommended to use `self.log")
def test_what_an_earlier_ddp_run_left_in_the_process_does_not_matter(run: Run, tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        assert run()["test/reconstruction_error"] > 0
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("epochs", "saved"),
    [(1, {"last.ckpt"}), pytest.param(3, {"best.ckpt", "last.ckpt"}, marks=pytest.mark.slow)],
)
def test_a_run_whose_last_epoch_had_no_validation_is_validated_at_its_end(
    run: Run, composed: Compose, garments: Path, tmp_path: Path, epochs: int, saved: set[str]
) -> None:
    measures = run(f"trainer.max_epochs={epochs}", "+trainer.check_val_every_n_epoch=2")
    assert {file.name for file in (tmp_path / "run" / "checkpoints").iterdir()} == saved
    data = instantiate(composed(f"data.source.root={garments}", "data.val_size=100").data)
    data.check()
    found = measure(partae.load(tmp_path / "run"), data.batches("val"), [dilation(1)])
    assert measures["val/reconstruction_error"] == pytest.approx(found["reconstruction_error"])


def test_without_validation_images_the_last_checkpoint_is_the_best(run: Run, tmp_path: Path) -> None:
    measures = run("data.val_size=0")
    assert measures.keys() == {f"test/{name}" for name in MEASURES}
    best, last = (partae.load(tmp_path / "run" / "checkpoints" / f"{name}.ckpt") for name in ("best", "last"))
    assert best.atoms.equal(last.atoms)
    (file,) = [each for each in (tmp_path / "run").glob("events.*") if each.stat().st_size > 10_000]
    assert EventAccumulator(str(file)).Reload().Tags()["images"] == ["atoms", "images"]


def test_tensorboard_holds_every_term_measure_picture_and_histogram(run: Run, tmp_path: Path) -> None:
    run()
    events: dict[str, set[str]] = {"scalars": set(), "images": set(), "histograms": set()}
    steps, hyperparameters = set(), set()
    for file in (tmp_path / "run").glob("events.*"):
        accumulator = EventAccumulator(str(file)).Reload()
        tags = accumulator.Tags()
        for kind, seen in events.items():
            seen |= set(tags[kind])
        if "train/loss" in tags["scalars"]:
            steps |= {event.step for event in accumulator.Scalars("train/loss")}
        hyperparameters |= {tag for tag in accumulator.summary_metadata if tag.startswith("_hparams_")}
    terms = {"loss", "reconstruction", "sparsity", "decay", "approximation"}
    assert {f"{split}/{term}" for split in ("train", "val") for term in terms} <= events["scalars"]
    assert {f"{split}/{name}" for split in ("val", "test") for name in MEASURES} <= events["scalars"]
    assert events["images"] == {"atoms", "images"}
    assert events["histograms"] == {"code/entries", "code/mean_activation_of_each_unit"}
    assert len(steps) == 2
    assert "_hparams_/session_start_info" in hyperparameters


def test_hyperparameters_name_the_classes_and_their_values(composed: Compose) -> None:
    shown = hyperparameters(composed("sparsity.beta=0.5", "constraint=[nonnegative,unit_norm]", "seed=3"))
    assert shown["seed"] == 3
    assert shown["sparsity"] == "KL"
    assert shown["sparsity.beta"] == 0.5
    assert shown["constraint"] == "nonnegative, unit_norm"
    assert shown["decay"] == "NoDecay"
    assert not any("_target_" in key for key in shown)


def test_the_same_seed_gives_the_same_measures_and_another_gives_others(run: Run) -> None:
    first, again, other = run("seed=0"), run("seed=0"), run("seed=1")
    assert first == again
    assert first != other


def test_divergence_stops_the_run_with_its_epoch_and_terms(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training diverged in epoch 0, step \d+ \(mean losses: reconstruction"):
        run("optimizer.lr=1e30")
    assert not (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_help_explains_every_group_and_its_lines_compose(
    script: str, composed: Compose, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    assert end.value.code == 0
    said = capsys.readouterr().out
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


def test_a_quiet_run_draws_no_bars(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("trainer.max_epochs=1")
    assert "Epoch 0" in "".join(capsys.readouterr())
    run("trainer.max_epochs=1", "quiet=true")
    assert "%" not in "".join(capsys.readouterr())


def test_divergence_keeps_the_last_good_checkpoint(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_epoch_start = AutoEncoder.on_train_epoch_start

    def spoilt(model: AutoEncoder) -> None:
        on_epoch_start(model)
        if model.current_epoch == 1:
            model.encoder.last.weight.data[0] = float("inf")

    monkeypatch.setattr(AutoEncoder, "on_train_epoch_start", spoilt)
    with pytest.raises(InputError, match=r"training diverged in epoch 1, step 12 \(mean losses: reconstruction"):
        run()
    assert all(tensor.isfinite().all() for tensor in partae.load(tmp_path / "run").state_dict().values())
    assert torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 0


def test_divergence_in_the_last_step_of_an_epoch_leaves_no_checkpoint(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training diverged in epoch 0, step 1 \(measures of validation: "):
        run("optimizer.lr=1e30", "data.batch_size=1000", "schedule=constant")
    assert not list((tmp_path / "run").rglob("*.ckpt"))


def test_an_optimizer_that_cannot_be_built_is_named_with_its_arguments(run: Run) -> None:
    with pytest.raises(InputError, match=r"optimizer cannot be built with lr=abc, betas=\[0.5, 0.999\]"):
        run("optimizer.lr=abc")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(file.stem for file in (ROOT / "conf" / "experiment").glob("*.yaml")))
def test_every_experiment_trains_a_batch(run: Run, composed: Compose, tmp_path: Path, name: str) -> None:
    brief = [f"experiment={name}", "trainer.max_epochs=1", "+trainer.limit_train_batches=1"]
    on_files = "root" in composed(*brief).data.source
    assert run(*brief) if on_files else train(composed(*brief, "trainer.accelerator=cpu"), tmp_path / "run")


def test_an_svm_measures_the_codes_by_option(run: Run) -> None:
    assert 0 < run("svm=quick")["test/svm_accuracy"] <= 1


def test_batch_norm_takes_its_running_values_wherever_a_model_is_measured(
    run: Run, composed: Compose, garments: Path, tmp_path: Path
) -> None:
    measures = run("svm=quick", "encoder.hidden=[16]", "encoder.batch_norm=true")
    options = [f"data.source.root={garments}", "data.val_size=100", "svm=quick"]
    found, _ = evaluate(composed(f"ckpt={tmp_path / 'run'}", *options, config="evaluate"))
    (evaluated,) = found.values()
    tested = {key: value for key, value in measures.items() if key.startswith("test/")}
    assert {key: evaluated[key] for key in tested} == tested


def test_lightning_asks_for_the_order_of_each_epoch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = []
    indices = Order.indices

    def noted(order: Order) -> torch.Tensor:
        if order.seed is not None:
            epochs.append(order.epoch)
        return indices(order)

    monkeypatch.setattr(Order, "indices", noted)
    run("trainer.max_epochs=3")
    assert epochs == [0, 1, 2]


def test_training_lowers_the_reconstruction_error(run: Run) -> None:
    brief, longer = run("trainer.max_epochs=1"), run("trainer.max_epochs=15")
    assert longer["test/reconstruction_error"] < 0.75 * brief["test/reconstruction_error"]


def test_evaluate_gives_the_figures_of_the_end_of_training(
    run: Run, composed: Compose, garments: Path, tmp_path: Path
) -> None:
    measures = run()
    folder = tmp_path / "run"
    for ckpt in (folder, folder / "checkpoints" / "last.ckpt"):
        options = [f"ckpt={ckpt}", f"data.source.root={garments}", "export=safetensors"]
        found, written = evaluate(composed(*options, config="evaluate"))
        (evaluated,) = found.values()
        assert written == folder / "evaluation"
        tested = {key: value for key, value in measures.items() if key.startswith("test/")}
        assert {key: evaluated[key] for key in tested} == tested
        assert json.loads((written / "metrics.json").read_text()) == evaluated
    names = {"reconstructions", "code_histograms", "atoms", "max_approximations", "overview"}
    assert {file.name for file in written.iterdir()} == {"metrics.json", "model.safetensors", "report.html"} | {
        name + suffix for name in names for suffix in (".png", ".pdf")
    }


@pytest.mark.slow
def test_evaluate_takes_models_by_name(
    run: Run, composed: Compose, garments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    monkeypatch.chdir(tmp_path)
    named = ["ckpt={one model: run, another: run/checkpoints/best.ckpt}", f"data.source.root={garments}"]
    found, written = evaluate(composed(*named, config="evaluate"))
    assert found.keys() == {"one model", "another"}
    assert (written / "atoms.png").exists()


def test_evaluate_puts_the_runs_of_a_sweep_in_rows_ordered_by_sparsity(
    run: Run, composed: Compose, garments: Path, tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep"
    for seed in (0, 1):
        run(f"seed={seed}")
        shutil.move(tmp_path / "run", sweep / f"latent_dim-8__seed-{seed}")
    options = ["svm=quick", "operators=[dilation:1,opening:2]", f"data.source.root={garments}", "data.val_size=100"]
    measures, folder = evaluate(composed(f"ckpt={sweep}", *options, config="evaluate"))
    assert folder == sweep / "evaluation"
    assert sorted(measures) == ["seed-0", "seed-1"]
    sparsities = [found["test/hoyer_sparsity"] for found in measures.values()]
    assert sparsities == sorted(sparsities)
    for name, found in measures.items():
        assert 0 <= found["test/svm_accuracy"] <= 1
        assert found["test/max_approximation_error/opening:2"] > 0
        assert json.loads((sweep / f"latent_dim-8__{name}" / "evaluation" / "metrics.json").read_text()) == found
    drawn = {file.stem for file in folder.glob("*.pdf")}
    assert {"atoms", "max_approximations", "max_approximations_opening_2"} <= drawn
    page = (sweep / "sweep.html").read_text()
    for name in measures:
        assert (sweep / f"latent_dim-8__{name}" / "evaluation" / "report.html").exists()
        assert f'"report":"latent_dim-8__{name}/evaluation/report.html"' in page
    assert "max_approximation_error/opening:2" in page
    assert 0 < json.loads((folder / "stability.json").read_text())["stability"] < 1


def command(script: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / script), *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a script in ``tmp_path / "here"``, expects it to fail with a message, and returns that."""

    def run_script(script: str, *overrides: str) -> str:
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        monkeypatch.setattr(sys, "argv", [script, *overrides])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        assert end.value.code == 1
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        assert not printed.out
        return printed.err

    return run_script


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train.py", "sparsity.betta=0.1"], ["sparsity.betta", "0.1"]),
        (["train.py", "sparsity=kll"], ["sparsity", "kll"]),
        (["train.py", "latent_dim=0"], ["latent_dim", "0"]),
        (["train.py", "sparsity.p=1.5"], ["sparsity.p", "1.5"]),
        (["train.py", "seed=1.5"], ["seed", "1.5"]),
        (["train.py", "encoder.activation=identity"], ["sparsity=kl", "encoder.activation=identity"]),
        (["evaluate.py", "ckpt=nowhere.ckpt"], ["ckpt=nowhere.ckpt", "does not exist"]),
        (["evaluate.py", "ckpt=."], ["ckpt=.", "folder without a run"]),
        (["evaluate.py"], ["ckpt is missing"]),
        (["evaluate.py", "ckpt=.", "operators=[blur:1]"], ["operators", "blur"]),
        (["evaluate.py", "ckpt=.", "svm=slow"], ["svm", "slow"]),
        (["evaluate.py", "ckpt=.", "bias=no"], ["bias", "'no'"]),
        (["evaluate.py", "ckpt=[]"], ["ckpt", "[]"]),
        (["evaluate.py", "ckpt=.", "operators=null"], ["operators", "None"]),
        (["train.py", "sparsity=null"], ["override", "NoneType", "sparsity=null"]),
        (["train.py", "seed=${nowhere}"], ["Interpolation key 'nowhere' not found", "seed"]),
        (["train.py", "latent_dim=???"], ["latent_dim is missing"]),
        (["train.py", "name=${nowhere}"], ["Interpolation key 'nowhere' not found"]),
        (["train.py", "hydra.run.dir=/dev/null/run"], ["Not a directory: /dev/null/run", "another folder"]),
        (["train.py", "trainer.max_epochs={a:1}"], ["trainer.max_epochs", "{'a': 1}"]),
        (["train.py", "encoder=conv", "encoder.tied=true"], ["encoder=conv", "encoder.tied=true"]),
        (["train.py", "encoder.tied=no"], ["encoder.tied", "'no'"]),
        (["train.py", "encoder.hidden=512"], ["encoder.hidden", "512"]),
        (["train.py", "trainer.accelerator=abacus", "data.source.root=DATA"], ["abacus"]),
        (
            ["train.py", "constraint=hoyer", "constraint.hoyer.sparseness=2", "data.source.root=DATA"],
            ["sparseness", "2"],
        ),
        (["train.py", "decay=l2", "decay.lambda_=-1"], ["decay.lambda_", "-1"]),
        (["train.py", "metric=val/beauty"], ["metric must be one of", "'val/beauty'"]),
        (["train.py", "metric=test/svm_accuracy"], ["metric must be one of", "'test/svm_accuracy'"]),
        (["train.py", "metric=null"], ["metric must be one of", "None"]),
        (["train.py", "metric=val/hoyer_sparsity", "model=nmf", "svm=slow"], ["svm must be one of", "'slow'"]),
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


@pytest.fixture
def trained_on(composed: Compose, tmp_path: Path) -> Run:
    """Trains two epochs on other data into ``tmp_path / "run"``, which it empties first."""

    def train_on(*overrides: str) -> dict[str, float]:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        brief = [
            "trainer.max_epochs=2",
            "trainer.accelerator=cpu",
            "latent_dim=4",
            "callbacks.gallery.every_n_epochs=2",
        ]
        return train(composed(*brief, *overrides), tmp_path / "run")

    return train_on


def test_a_colour_folder_of_odd_sizes_trains_evaluates_and_draws(
    trained_on: Run, composed: Compose, images_of_odd_sizes: Path, tmp_path: Path
) -> None:
    photos = ["data=folder", f"data.source.root={images_of_odd_sizes}", "data.source.size=[8,6]"]
    measures = trained_on(*photos, "svm=quick")
    assert 0 <= measures["test/svm_accuracy"] <= 1
    assert partae.load(tmp_path / "run").atoms.shape == (4, 3, 8, 6)
    (found,) = evaluate(composed(f"ckpt={tmp_path / 'run'}", *photos, config="evaluate"))[0].values()
    assert found["test/reconstruction_error"] == measures["test/reconstruction_error"]
    drawn = {file.stem for file in (tmp_path / "run" / "evaluation").glob("*.png")}
    assert drawn == {"reconstructions", "code_histograms", "atoms", "max_approximations", "overview"}
    events = [EventAccumulator(str(file)).Reload() for file in (tmp_path / "run").glob("events.*")]
    assert {tag for each in events for tag in each.Tags()["images"]} == {"atoms", "images"}
    with pytest.raises(InputError, match=r"ckpt=.* \[3, 8, 6\], but data\.image_shape=\[3, 9, 9\]"):
        evaluate(composed(f"ckpt={tmp_path / 'run'}", *photos[:2], "data.source.size=[9,9]", config="evaluate"))


def test_a_streamed_run_ends_with_the_measures_of_a_run_in_memory(trained_on: Run, some_arrays: Path) -> None:
    arrays = ["data=arrays", f"data.source.root={some_arrays}", "data.batch_size=16"]
    assert trained_on(*arrays, "data.memory=0") == trained_on(*arrays)


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
        (["data=arrays", "data.source.root=IMAGES"], ["train_images.npy is missing"]),
    ],
)
def test_images_that_cannot_be_used_get_one_message(
    overrides: list[str], words: list[str], images_of_odd_sizes: Path, stopped: Callable[..., str]
) -> None:
    message = stopped("train.py", *(each.replace("IMAGES", str(images_of_odd_sizes)) for each in overrides))
    assert all(word in message for word in words), message
    assert "InterpolationResolutionError" not in message
    assert "raised while" not in message


def test_images_without_labels_train_but_fit_no_svm(trained_on: Run, some_arrays: Path) -> None:
    for split in ("train", "test"):
        (some_arrays / f"{split}_labels.npy").unlink()
    arrays = ["data=arrays", f"data.source.root={some_arrays}"]
    assert "test/reconstruction_error" in trained_on(*arrays)
    with pytest.raises(InputError, match="svm=quick needs labels"):
        trained_on(*arrays, "svm=quick")


def test_a_corrupt_data_file_stops_a_run_before_it_starts(
    garments: Path, stopped: Callable[..., str], tmp_path: Path
) -> None:
    file = garments / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    message = stopped("train.py", f"data.source.root={garments}")
    assert f"{file} is truncated or altered" in message
    assert not [path for path in (tmp_path / "here").rglob("*") if path.is_file() and ".hydra" not in path.parts]


@pytest.mark.slow
def test_a_sweep_ends_with_a_row_for_each_job(tmp_path: Path) -> None:
    done = command(
        "train.py", "-m", "sparsity.beta=0.0001,0.01", "trainer.max_epochs=1", f"hydra.sweep.dir={tmp_path / 'sweep'}"
    )
    assert done.returncode == 0, done.stderr
    header, *rows = (tmp_path / "sweep" / "sweep.csv").read_text().splitlines()
    assert "sparsity.beta" in header
    assert "test/reconstruction_error" in header
    assert [row.split(",")[0] for row in rows] == ["0.0001", "0.01"]
    assert "reconstruction_error" in done.stdout
    assert {folder.name for folder in (tmp_path / "sweep").iterdir() if folder.is_dir()} == {
        f"sparsity.beta-{beta}__trainer.max_epochs-1" for beta in ("0.0001", "0.01")
    }


@pytest.mark.slow
def test_the_default_run_reaches_its_figures_on_the_real_images(tmp_path: Path) -> None:
    done = command("train.py", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    measures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert measures["test/reconstruction_error"] <= 0.0150
    assert measures["test/dead_atoms"] == 0
    assert (partae.load(tmp_path / "run").atoms >= 0).all()

    evaluated = command("evaluate.py", f"ckpt={tmp_path / 'run'}")
    assert evaluated.returncode == 0, evaluated.stderr
    again = json.loads((tmp_path / "run" / "evaluation" / "metrics.json").read_text())
    tested = {key: value for key, value in measures.items() if key.startswith("test/")}
    assert {key: again[key] for key in tested} == pytest.approx(tested, rel=1e-6)


@pytest.mark.slow
def test_a_linear_auto_encoder_spans_the_principal_subspace(tmp_path: Path) -> None:
    linear = ["encoder.activation=identity", "decoder.activation=identity", "sparsity=none", "constraint=none"]
    longer = ["latent_dim=10", "optimizer.lr=0.002", "trainer.max_epochs=20", f"hydra.run.dir={tmp_path / 'run'}"]
    done = command("train.py", *linear, *longer)
    assert done.returncode == 0, done.stderr
    data = DataModule(FashionMNIST("data"), (1, 28, 28))
    data.prepare_data()
    for stage in ("fit", "test"):
        data.setup(stage)
    pca = PCA(10, svd_solver="covariance_eigh").fit(data.sets["train"][0].flatten(1).numpy())
    test = data.sets["test"][0].flatten(1).numpy()
    error = ((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean()
    measures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert measures["test/reconstruction_error"] == pytest.approx(error, rel=0.01)
    atoms = partae.load(tmp_path / "run").atoms.detach().flatten(1).numpy()
    assert np.cos(subspace_angles(atoms.T, pca.components_.T)).min() >= 0.99


@pytest.mark.slow
def test_intrinsic_plasticity_brings_each_unit_to_its_mean(tmp_path: Path) -> None:
    done = command("train.py", "model=nnsae", "trainer.max_epochs=20", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    data = DataModule(FashionMNIST("data"), (1, 28, 28))
    data.prepare_data()
    data.setup("fit")
    code, _ = codes(partae.load(tmp_path / "run"), data.batches("val"))
    assert (code.mean(dim=0) - 0.2).abs().max() <= 0.02


@pytest.mark.slow
def test_the_negative_values_fade_as_lambda_grows(tmp_path: Path) -> None:
    masses, shares = [], []
    for lambda_ in (0.0, 0.0001, 0.01, 0.1):
        folder = tmp_path / str(lambda_)
        options = ["decay=asymmetric_l2", f"decay.lambda_={lambda_}", "constraint=none", "trainer.max_epochs=5"]
        assert command("train.py", *options, f"hydra.run.dir={folder}").returncode == 0
        atoms = partae.load(folder).atoms
        masses.append(negative_mass(atoms).item())
        shares.append((atoms < -0.001).float().mean().item())
    assert masses == sorted(masses, reverse=True)
    assert masses[-1] < 0.01 * masses[0]
    # a squared cost brings negative values to the edge of 0 and no farther: they are counted from a little below it
    assert shares[0] > shares[2] > shares[3] == 0


@pytest.mark.slow
def test_the_share_of_negative_values_falls_as_lambda_grows(tmp_path: Path) -> None:
    shares = []
    for lambda_ in (0.0, 0.00001, 0.0001):
        folder = tmp_path / str(lambda_)
        options = ["decay=asymmetric_l1", f"decay.lambda_={lambda_}", "constraint=none", "trainer.max_epochs=5"]
        assert command("train.py", *options, f"hydra.run.dir={folder}").returncode == 0
        shares.append(negative_share(partae.load(folder).atoms).item())
    assert shares[0] > 2 * shares[1] > 4 * shares[2]


@pytest.mark.slow
def test_without_penalty_and_constraint_it_reconstructs_best(tmp_path: Path) -> None:
    done = command("train.py", "sparsity=none", "constraint=none", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    measures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert measures["test/reconstruction_error"] <= 0.0070


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_run_on_the_gpu_gives_the_measures_of_the_cpu(run: Run) -> None:
    on_gpu, on_cpu = run("trainer.accelerator=gpu"), run("trainer.accelerator=cpu")
    assert on_gpu == pytest.approx(on_cpu, rel=0.02)


@pytest.mark.slow
def test_the_swimmer_is_taken_apart(composed: Compose, tmp_path: Path) -> None:
    train(composed("experiment=swimmer", "trainer.accelerator=cpu"), tmp_path / "run")
    swimmer = Swimmer()
    recovery = part_recovery(partae.load(tmp_path / "run").atoms.detach(), swimmer.parts, swimmer.torso > 0)
    assert (recovery >= 0.95).sum() >= 15
