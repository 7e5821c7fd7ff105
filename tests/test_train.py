"""Runs of train.py from end to end: what they leave, and that it is right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from pytorch_lightning import Callback, LightningModule, Trainer

import partae
from partae import AutoEncoder
from partae.checks import InputError
from partae.data import DataModule, Order
from partae.metrics import measure
from partae.morphology import dilation
from partae.sweep.evaluation import evaluate
from tests.conftest import Compose, Run
from tests.events import logged, pictures

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
    "contributing_atoms",
    "code_variation",
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


@pytest.mark.parametrize("precision", ["16-true", "bf16-true"])
def test_half_precision_of_weights_is_refused_before_the_training(precision: str, run: Run) -> None:
    with pytest.raises(InputError, match=rf"{precision} is too coarse .*: choose {precision[:-5]}-mixed"):
        run(f"trainer.precision={precision}")


def test_a_precision_that_needs_a_gpu_is_refused_on_a_cpu(run: Run) -> None:
    with pytest.raises(InputError, match=r"trainer\.precision=16-mixed needs a GPU: choose bf16-mixed"):
        run("trainer.precision=16-mixed")


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


def test_an_svm_measures_the_codes_by_option(run: Run) -> None:
    assert 0 < run("svm=quick")["test/svm_accuracy"] <= 1


@pytest.mark.slow
def test_a_comparison_measures_classes_and_cost_and_evaluating_gives_the_same(
    run: Run, composed: Compose, garments: Path, tmp_path: Path
) -> None:
    measures = run("comparison=true", "metric=test/knn_accuracy")
    assert 0 < measures["fit_seconds"] < json.loads((tmp_path / "run" / "metrics.json").read_text())["wall_time"]
    options = [f"data.source.root={garments}", "data.val_size=100", "comparison=true"]
    (evaluated,) = evaluate(composed(f"ckpt={tmp_path / 'run'}", *options, config="evaluate")).measures.values()
    for name in ("relative_l0", "clustering_accuracy", "clustering_nmi", "knn_accuracy", "parameter_bytes"):
        assert evaluated[f"test/{name}"] == measures[f"test/{name}"] >= 0
    assert measures["test/encode_seconds"] > 0 < evaluated["test/encode_seconds"]


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
