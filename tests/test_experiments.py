"""Every experiment trains, and runs on other images end with their measures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import partae
from partae.checks import InputError
from partae.data import Swimmer
from partae.metrics import part_recovery
from partae.sweep.evaluation import evaluate
from tests.conftest import Compose, Run
from tests.events import pictures
from tests.test_conf import EXPERIMENTS, ROWS, rows_of

ROWS_OF_TABLE_1 = [
    [f"experiment={name}", f"{ROWS}={row}", *model]
    for name, model in (("table_1", []), ("table_1_asymmetric", ["model=asymmetric"]))
    for row in rows_of(name)
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "choices", [*([choice] for choice in EXPERIMENTS if choice.startswith("experiment=")), *ROWS_OF_TABLE_1]
)
def test_every_experiment_and_every_row_of_table_1_trains_a_batch(
    run: Run, composed: Compose, go_on: Run, choices: list[str]
) -> None:
    brief = [*choices, "trainer.max_epochs=1", "trainer.limit_train_batches=1"]
    assert run(*brief) if "root" in composed(*brief).data.source else go_on(*brief)


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
    assert drawn == {"reconstructions", "code_histograms", "atoms", "max_approximations", "overview", "learning_curves"}
    assert pictures(tmp_path / "run") == {"atoms", "images"}
    with pytest.raises(InputError, match=r"ckpt=.* \[3, 8, 6\], but data\.image_shape=\[3, 9, 9\]"):
        evaluate(composed(f"ckpt={tmp_path / 'run'}", *photos[:2], "data.source.size=[9,9]", config="evaluate"))


def test_a_streamed_run_ends_with_the_measures_of_a_run_in_memory(run_on: Run, some_arrays: Path) -> None:
    arrays = ["data=arrays", f"data.source.root={some_arrays}", "data.batch_size=16"]
    assert run_on(*arrays, "data.memory=0") == run_on(*arrays)


def test_images_without_labels_train_and_are_compared_by_cost_but_fit_no_svm(run_on: Run, some_arrays: Path) -> None:
    for split in ("train", "test"):
        (some_arrays / f"{split}_labels.npy").unlink()
    arrays = ["data=arrays", f"data.source.root={some_arrays}"]
    measures = run_on(*arrays, "comparison=true")
    assert measures["test/encode_seconds"] > 0
    assert "test/clustering_accuracy" not in measures
    with pytest.raises(InputError, match="an SVM needs labels"):
        run_on(*arrays, "svm=quick")


@pytest.mark.slow
def test_the_swimmer_is_taken_apart(go_on: Run, tmp_path: Path) -> None:
    go_on("experiment=swimmer")
    swimmer = Swimmer()
    recovery = part_recovery(partae.load(tmp_path / "run").atoms.detach(), swimmer.parts, swimmer.torso > 0)
    assert (recovery >= 0.95).sum() >= 15
