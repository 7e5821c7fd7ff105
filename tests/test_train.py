"""End to end: a run of train.py."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from pytorch_lightning import Callback, LightningModule, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard.summary import hparams

import partae
from evaluate import evaluate
from partae import AutoEncoder
from partae.checks import InputError
from partae.data import DataModule, Order, Swimmer
from partae.metrics import measure, part_recovery
from partae.morphology import dilation
from partae.run.training import hyperparameters
from tests.command_line import type_in
from tests.conftest import Compose, Run
from tests.test_conf import EXPERIMENTS, ROWS, rows_of

ROOT = Path(__file__).parent.parent
MEASURES = {
    "reconstruction_error",
    "reconstruction_error_clipped",
    "hoyer_sparsity",
    "max_approximation_error",
    "max_approximation_error_clipped",
    "max_approximation_error_calibrated",
    "max_approximation_error_of_reconstruction",
    "max_approximation_gain",
    "image_error",
    "operated_reconstruction_error",
    "dead_atoms",
    "mean_activation",
}


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


@pytest.fixture
def data(composed: Compose, garments: Path) -> DataModule:
    """The images that ``run`` trains on."""
    module: DataModule = instantiate(composed(f"data.source.root={garments}", "data.val_size=100").data)
    module.check()
    return module


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        (["+trainer.max_steps=8"], {"best.ckpt", "last.ckpt"}),
        (["+trainer.val_check_interval=0.7"], {"last.ckpt"}),
        (["+trainer.check_val_every_n_epoch=null", "+trainer.val_check_interval=5"], {"last.ckpt"}),
        (["trainer.max_epochs=1", "+trainer.check_val_every_n_epoch=2"], {"last.ckpt"}),
        pytest.param(
            ["trainer.max_epochs=3", "+trainer.check_val_every_n_epoch=2"],
            {"best.ckpt", "last.ckpt"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_whenever_it_was_validated_the_measures_are_those_of_the_checkpoint(
    run: Run, data: DataModule, tmp_path: Path, options: list[str], saved: set[str]
) -> None:
    measures = run(*options)
    found = measure(partae.load(tmp_path / "run"), data.batches("val"), [dilation(1)])
    assert measures["val/reconstruction_error"] == pytest.approx(found["reconstruction_error"])
    files = list((tmp_path / "run" / "checkpoints").iterdir())
    assert {file.name for file in files} == saved
    for best in (file for file in files if file.name == "best.ckpt"):
        checkpoint = torch.load(best, weights_only=True)
        assert checkpoint["validated_step"] == checkpoint["global_step"]
        found = measure(partae.load(best), data.batches("val"), [dilation(1)])
        assert checkpoint["measures"]["val/reconstruction_error"] == pytest.approx(found["reconstruction_error"])


def events_of(folder: Path) -> list[EventAccumulator]:
    return [EventAccumulator(str(file)).Reload() for file in sorted(folder.glob("events.*"))]


def pictures(folder: Path) -> set[str]:
    return {tag for events in events_of(folder) for tag in events.Tags()["images"]}


def logged(folder: Path) -> dict[str, float]:
    """The last value of each scalar that TensorBoard shows of a run."""
    each = [(events, tag) for events in events_of(folder) for tag in events.Tags()["scalars"]]
    return {tag: events.Scalars(tag)[-1].value for events, tag in each}


@pytest.mark.parametrize("sparsity", ["kl", "hoyer"])
def test_losses_do_not_depend_on_how_images_fall_into_batches(
    run: Run, data: DataModule, tmp_path: Path, sparsity: str
) -> None:
    """With a learning rate of 0 all batches see one model, whose loss on a whole set is known."""
    for sizes in (("299", "1"), ("70", "33")):
        options = ["optimizer.lr=0", f"sparsity={sparsity}", "sparsity.beta=1", f"data.batch_size={sizes[0]}"]
        measures = run(*options, f"data.eval_batch_size={sizes[1]}", "trainer.max_epochs=1")
        found = logged(tmp_path / "run") | measures
        model = partae.load(tmp_path / "run")
        assert isinstance(model, AutoEncoder)
        for split in ("train", "val"):
            expected = model.losses(data.sets[split][0])
            for name in ("reconstruction", "sparsity"):
                assert found[f"{split}/{name}"] == pytest.approx(expected[name].item(), rel=1e-4)
            assert found[f"{split}/loss"] == pytest.approx(sum(each.item() for each in expected.values()), rel=1e-4)


def test_mixed_precision_trains_and_measures_in_single_precision(run: Run, data: DataModule, tmp_path: Path) -> None:
    measures = run("+trainer.precision=bf16-mixed", "optimizer.lr=0", "sparsity.beta=1")
    model = partae.load(tmp_path / "run")
    found = measure(model, data.batches("val"))
    assert measures["val/reconstruction_error"] == pytest.approx(found["reconstruction_error"], rel=1e-5)
    assert isinstance(model, AutoEncoder)
    expected = model.losses(data.sets["train"][0])["sparsity"].item()
    assert logged(tmp_path / "run")["train/sparsity"] == pytest.approx(expected, rel=0.02)


@pytest.mark.filterwarnings("ignore:It is recommended to use `self.log")
def test_a_run_trains_in_a_process_where_an_earlier_ddp_run_left_its_group(run: Run, tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        assert run()["test/reconstruction_error"] > 0
    finally:
        torch.distributed.destroy_process_group()


def test_without_validation_images_the_last_checkpoint_is_the_best(run: Run, tmp_path: Path) -> None:
    measures = run("data.val_size=0", "callbacks.gallery.every_n_epochs=1")
    assert measures.keys() == {f"test/{name}" for name in MEASURES}
    best, last = (partae.load(tmp_path / "run" / "checkpoints" / f"{name}.ckpt") for name in ("best", "last"))
    assert best.atoms.equal(last.atoms)
    assert pictures(tmp_path / "run") == {"atoms", "images"}


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


def test_hyperparameters_name_the_classes_and_their_values(composed: Compose) -> None:
    shown = hyperparameters(composed("sparsity.beta=0.5", "constraint=[nonnegative,unit_norm]", "seed=3"))
    assert shown["seed"] == 3
    assert shown["sparsity"] == "KL"
    assert shown["sparsity.beta"] == 0.5
    assert shown["constraint"] == "nonnegative, unit_norm"
    assert shown["decay"] == "NoDecay"
    assert not any("_target_" in key for key in shown)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
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
def test_hyperparameters_tell_runs_apart_by_every_value(
    overrides: list[str], expected: dict[str, Any], composed: Compose
) -> None:
    shown = hyperparameters(composed(*overrides))
    assert expected.items() <= shown.items()
    hparams(shown, {})  # takes them all
    assert not any(key.endswith(("image_shape", ".latent_dim")) for key in shown)


BARS = ["data=bars", "data.source.train_size=60", "data.source.test_size=20", "data.val_size=20", "latent_dim=4"]
BARS += ["trainer.accelerator=cpu", "quiet=true"]


@pytest.mark.parametrize(
    ("model", "precision"),
    [
        ("autoencoder", "64-true"),
        ("kmeans", "64-true"),
        pytest.param("pca", "64-true", marks=pytest.mark.slow),
        pytest.param("autoencoder", "bf16-mixed", marks=pytest.mark.slow),
    ],
)
def test_a_run_in_another_precision_resumes_loads_and_is_evaluated(
    model: str, precision: str, composed: Compose, go_on: Run, tmp_path: Path
) -> None:
    options = [*BARS, f"model={model}", f"+trainer.precision={precision}", "callbacks.gallery.every_n_epochs=1"]
    folder = tmp_path / "run"
    go_on(*options, "trainer.max_epochs=1", "svm=quick")
    measures = go_on(*options, "trainer.max_epochs=2")
    loaded = partae.load(folder)
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {torch.float32}
    (found,) = evaluate(composed(*BARS[:4], f"ckpt={folder}", "quiet=true", config="evaluate")).measures.values()
    assert found["test/reconstruction_error"] == pytest.approx(measures["test/reconstruction_error"], rel=1e-2)


@pytest.mark.parametrize("precision", ["16-true", "bf16-true"])
def test_half_precision_of_weights_is_refused_before_the_training(precision: str, run: Run) -> None:
    with pytest.raises(InputError, match=rf"{precision} is too coarse .*: choose {precision[:-5]}-mixed"):
        run(f"+trainer.precision={precision}")


@pytest.mark.slow
def test_a_profile_that_is_asked_for_is_printed(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train.py"), *BARS, "trainer.max_epochs=1", "+trainer.profiler=simple"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert "FIT Profiler Report" in done.stderr


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
    assert written == {*configuration, "checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.json"}


def test_a_seed_always_gives_the_same_measures(run: Run) -> None:
    first, again, other = run("seed=0"), run("seed=0"), run("seed=1")
    assert first == again
    assert first != other


class Beauty(Callback):
    """Logs a measure of its own."""

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log("val/beauty", 0.5)


def test_the_metric_may_come_from_a_users_own_callback(run: Run) -> None:
    with pytest.raises(InputError, match="metric must be one of"):
        run("metric=val/beauty")
    assert run("metric=val/beauty", f"+callbacks.beauty._target_={__name__}.Beauty")["val/beauty"] == 0.5


def test_a_quiet_run_draws_no_bars(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("trainer.max_epochs=1")
    assert "Epoch 0" in "".join(capsys.readouterr())
    run("trainer.max_epochs=1", "quiet=true")
    assert "%" not in "".join(capsys.readouterr())


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


@pytest.mark.parametrize("smallest", ["latent_dim=1", "data.batch_size=1", "data.batch_size=100000"])
def test_the_smallest_and_the_largest_sizes_train(run: Run, smallest: str) -> None:
    brief = ["trainer.max_epochs=1", "+trainer.limit_train_batches=3", "callbacks=revival"]
    measures = run("encoder.hidden=[6]", "encoder.batch_norm=true", *brief, smallest)
    assert all(math.isfinite(value) for value in measures.values())


def test_the_message_names_an_optimizer_that_cannot_be_built(run: Run) -> None:
    with pytest.raises(InputError, match=r"optimizer cannot be built with lr=abc, betas=\[0.5, 0.999\]"):
        run("optimizer.lr=abc")


ROWS_OF_TABLE_1 = [
    [f"experiment={name}", f"{ROWS}={row}", *model]
    for name, model in (("table_1", []), ("table_1_asymmetric", ["model=asymmetric"]))
    for row in rows_of(name)
]


@pytest.mark.slow
@pytest.mark.parametrize("choices", [*([f"experiment={name}"] for name in EXPERIMENTS), *ROWS_OF_TABLE_1])
def test_every_experiment_and_every_row_of_table_1_trains_a_batch(
    run: Run, composed: Compose, go_on: Run, choices: list[str]
) -> None:
    brief = [*choices, "trainer.max_epochs=1", "+trainer.limit_train_batches=1"]
    assert run(*brief) if "root" in composed(*brief).data.source else go_on(*brief)


def test_an_svm_measures_the_codes_by_option(run: Run) -> None:
    assert 0 < run("svm=quick")["test/svm_accuracy"] <= 1


@pytest.mark.slow
def test_batch_norm_takes_its_running_values_wherever_a_model_is_measured(
    run: Run, composed: Compose, garments: Path, tmp_path: Path
) -> None:
    measures = run("svm=quick", "encoder.hidden=[16]", "encoder.batch_norm=true")
    options = [f"data.source.root={garments}", "data.val_size=100", "svm=quick"]
    found = evaluate(composed(f"ckpt={tmp_path / 'run'}", *options, config="evaluate"))
    (evaluated,) = found.measures.values()
    tested = {key: value for key, value in measures.items() if key.startswith("test/")}
    assert {key: evaluated[key] for key in tested} == tested


def test_lightning_asks_for_the_order_of_each_epoch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = []
    indices = Order.indices

    def note(order: Order) -> torch.Tensor:
        if order.seed is not None:
            epochs.append(order.epoch)
        return indices(order)

    monkeypatch.setattr(Order, "indices", note)
    run("trainer.max_epochs=3")
    assert epochs == [0, 1, 2]


def test_training_lowers_the_reconstruction_error(run: Run) -> None:
    brief, longer = run("trainer.max_epochs=1"), run("trainer.max_epochs=15")
    assert longer["test/reconstruction_error"] < 0.75 * brief["test/reconstruction_error"]


@pytest.fixture
def run_on(go_on: Run, tmp_path: Path) -> Run:
    """Trains two epochs on other data into an empty ``tmp_path / "run"``."""

    def train_on(*overrides: str) -> dict[str, float]:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return go_on("trainer.max_epochs=2", "latent_dim=4", "callbacks.gallery.every_n_epochs=2", *overrides)

    return train_on


def test_a_colour_folder_of_odd_sizes_trains_evaluates_and_draws(
    run_on: Run, composed: Compose, images_of_odd_sizes: Path, tmp_path: Path
) -> None:
    photos = ["data=folder", f"data.source.root={images_of_odd_sizes}", "data.source.size=[8,6]"]
    measures = run_on(*photos, "svm=quick")
    assert 0 <= measures["test/svm_accuracy"] <= 1
    assert partae.load(tmp_path / "run").atoms.shape == (4, 3, 8, 6)
    (found,) = evaluate(composed(f"ckpt={tmp_path / 'run'}", *photos, config="evaluate")).measures.values()
    assert found["test/reconstruction_error"] == measures["test/reconstruction_error"]
    drawn = {file.stem for file in (tmp_path / "run" / "evaluation").glob("*.png")}
    assert drawn == {"reconstructions", "code_histograms", "atoms", "max_approximations", "overview"}
    assert pictures(tmp_path / "run") == {"atoms", "images"}
    with pytest.raises(InputError, match=r"ckpt=.* \[3, 8, 6\], but data\.image_shape=\[3, 9, 9\]"):
        evaluate(composed(f"ckpt={tmp_path / 'run'}", *photos[:2], "data.source.size=[9,9]", config="evaluate"))


def test_a_streamed_run_ends_with_the_measures_of_a_run_in_memory(run_on: Run, some_arrays: Path) -> None:
    arrays = ["data=arrays", f"data.source.root={some_arrays}", "data.batch_size=16"]
    assert run_on(*arrays, "data.memory=0") == run_on(*arrays)


def test_images_without_labels_train_but_fit_no_svm(run_on: Run, some_arrays: Path) -> None:
    for split in ("train", "test"):
        (some_arrays / f"{split}_labels.npy").unlink()
    arrays = ["data=arrays", f"data.source.root={some_arrays}"]
    assert "test/reconstruction_error" in run_on(*arrays)
    with pytest.raises(InputError, match="an SVM needs labels"):
        run_on(*arrays, "svm=quick")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_run_on_the_gpu_gives_the_measures_of_the_cpu(run: Run) -> None:
    on_gpu, on_cpu = run("trainer.accelerator=gpu"), run("trainer.accelerator=cpu")
    assert on_gpu == pytest.approx(on_cpu, rel=0.02)


@pytest.mark.slow
def test_the_swimmer_is_taken_apart(go_on: Run, tmp_path: Path) -> None:
    go_on("experiment=swimmer")
    swimmer = Swimmer()
    recovery = part_recovery(partae.load(tmp_path / "run").atoms.detach(), swimmer.parts, swimmer.torso > 0)
    assert (recovery >= 0.95).sum() >= 15
