"""End to end: evaluate.py on what train.py left."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.backends import cudnn

from partae.checks import InputError
from partae.encoder import Dense
from partae.run.training import train
from partae.sweep.evaluation import evaluate
from tests.conftest import Compose, Run


def test_evaluate_gives_the_figures_of_the_end_of_training(
    run: Run, composed: Compose, garments: Path, tmp_path: Path
) -> None:
    measures = run()
    folder = tmp_path / "run"
    for ckpt in (folder, folder / "checkpoints" / "last.ckpt"):
        options = [f"ckpt={ckpt}", f"data.source.root={garments}", "data.val_size=100", "export=safetensors"]
        evaluation = evaluate(composed(*options, config="evaluate"))
        (evaluated,), written = evaluation.measures.values(), evaluation.folder
        assert written == folder / "evaluation"
        assert evaluation.pages == [written / "report.html"]
        assert evaluation.exports == [written / "model.safetensors"]
        tested = {key: value for key, value in measures.items() if key.startswith("test/")}
        assert {key: evaluated[key] for key in tested} == tested
        assert json.loads((written / "metrics.json").read_text()) == evaluated
    names = {"reconstructions", "code_histograms", "atoms", "max_approximations", "overview", "learning_curves"}
    files = {"metrics.json", "measured_by.json", "model.safetensors", "report.html"}
    assert {file.name for file in written.iterdir()} == files | {
        name + suffix for name in names for suffix in (".png", ".pdf")
    }


def test_convolutions_run_in_full_precision_while_a_model_is_trained_or_evaluated(
    run: Run, composed: Compose, garments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, forward = [], Dense.forward

    def noted(self: Dense, *given: torch.Tensor) -> torch.Tensor:
        seen.append(cudnn.allow_tf32)
        return forward(self, *given)

    monkeypatch.setattr(Dense, "forward", noted)
    monkeypatch.setattr(cudnn, "allow_tf32", True)
    run()
    assert set(seen) == {False}
    monkeypatch.setattr(cudnn, "allow_tf32", True)
    seen.clear()
    options = [f"ckpt={tmp_path / 'run'}", f"data.source.root={garments}", "data.val_size=100"]
    evaluate(composed(*options, config="evaluate"))
    assert set(seen) == {False}
    assert cudnn.allow_tf32


@pytest.mark.slow
def test_evaluating_again_keeps_what_was_measured_before_of_the_same_model_and_images(
    run: Run, composed: Compose, garments: Path, tmp_path: Path
) -> None:
    run()
    folder = tmp_path / "run"

    def evaluated(*options: str) -> dict[str, float]:
        images = [f"data.source.root={garments}", "data.val_size=100"]
        evaluate(composed(f"ckpt={folder}", *images, *options, config="evaluate"))
        found: dict[str, float] = json.loads((folder / "evaluation" / "metrics.json").read_text())
        return found

    first = evaluated("svm=quick", "operators=[dilation:1,opening:1]", "l0_threshold=0.5")
    second = evaluated()
    assert second == first | {"test/l0": second["test/l0"]}  # at another threshold
    by = json.loads((folder / "evaluation" / "measured_by.json").read_text())["by"]
    assert by["test/l0"] == {"l0_threshold": 0.05}
    assert by["test/svm_accuracy"] == {"svm": "quick", "seed": 0, "standardised": None}
    assert by["test/max_approximation_error/opening:1"] == {"bias": False}

    (folder / "evaluation" / "measured_by.json").write_text('{"of"')
    assert "test/svm_accuracy" not in evaluated()  # nothing says of what it is


@pytest.mark.slow
def test_evaluate_takes_models_by_name(
    run: Run, composed: Compose, garments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    monkeypatch.chdir(tmp_path)
    named = ["ckpt={one model: run, another: run/checkpoints/best.ckpt}", f"data.source.root={garments}"]
    named += ["data.val_size=100"]
    evaluation = evaluate(composed(*named, config="evaluate"))
    assert evaluation.measures.keys() == {"one model", "another"}
    assert (evaluation.folder / "atoms.png").exists()


@pytest.mark.slow
def test_evaluate_puts_the_runs_of_a_sweep_in_rows_ordered_by_sparsity(
    run: Run, composed: Compose, garments: Path, tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep"
    for seed in (0, 1):
        run(f"seed={seed}")
        shutil.move(tmp_path / "run", sweep / f"latent_dim-8__seed-{seed}")
    (tmp_path / "ring.txt").write_text("1 1 1\n1 1 0\n0 0 0\n")
    operators = f"[dilation:1,opening:2,top_hat:line:5@45,gradient:file:{tmp_path}/ring.txt]"
    options = ["svm=quick", f"operators={operators}", f"data.source.root={garments}", "data.val_size=100"]
    evaluation = evaluate(composed(f"ckpt={sweep}", *options, config="evaluate"))
    measures, folder = evaluation.measures, evaluation.folder
    assert evaluation.pages == [sweep / "sweep.html"]
    assert folder == sweep / "evaluation"
    names = [f"latent_dim-8__seed-{seed}" for seed in (0, 1)]  # by their folders, which no sweep has written
    assert sorted(measures) == names
    sparsities = [found["test/hoyer_sparsity"] for found in measures.values()]
    assert sparsities == sorted(sparsities)
    for name, found in measures.items():
        assert 0 <= found["test/svm_accuracy"] <= 1
        assert found["test/max_approximation_error/opening:2"] > 0
        assert json.loads((sweep / name / "evaluation" / "metrics.json").read_text()) == found
    drawn = {file.stem for file in folder.glob("*.pdf")}
    shapes = {f"max_approximations_{name}" for name in ("opening_2", "top_hat_line_5_45", "gradient_ring_2dee9169")}
    assert {"atoms", "max_approximations"} | shapes <= drawn
    page = (sweep / "sweep.html").read_text()
    assert "exceeds 0.05" in page
    for name in measures:
        assert (sweep / name / "evaluation" / "report.html").exists()
        assert f'"report":"{name}/evaluation/report.html"' in page
    assert "max_approximation_error/opening:2" in page
    assert 0 < json.loads((folder / "stability.json").read_text())["stability"] < 1


def test_a_model_of_one_atom_is_evaluated(run: Run, composed: Compose, garments: Path, tmp_path: Path) -> None:
    run("latent_dim=1", "trainer.max_epochs=1")
    options = [f"ckpt={tmp_path / 'run'}", f"data.source.root={garments}", "data.val_size=100"]
    (found,) = evaluate(composed(*options, config="evaluate")).measures.values()
    assert found["test/overlap"] == 0
    assert found["test/image_error"] > 0
    assert found["test/operated_reconstruction_error"] > 0


def test_a_gpu_that_is_not_there_is_not_replaced_in_silence(composed: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="accelerator=gpu, but PyTorch finds no CUDA GPU here"):
        evaluate(composed("ckpt=run", "accelerator=gpu", config="evaluate"))


def test_how_well_known_parts_are_recovered_is_measured(composed: Compose, tmp_path: Path) -> None:
    train(composed("data=swimmer", "latent_dim=16", "trainer.max_epochs=1"), tmp_path / "run")
    (found,) = evaluate(composed(f"ckpt={tmp_path / 'run'}", "data=swimmer", config="evaluate")).measures.values()
    assert 0 <= found["test/least_part_recovery"] < found["test/part_recovery"] < 1


def test_nothing_is_written_where_a_link_leads(run: Run, composed: Compose, garments: Path, tmp_path: Path) -> None:
    run("trainer.max_epochs=1")
    (tmp_path / "other").mkdir()
    (tmp_path / "run" / "evaluation").symlink_to(tmp_path / "other")
    with pytest.raises(InputError, match=r"run/evaluation is a symbolic link to .*other"):
        evaluate(composed(f"ckpt={tmp_path / 'run'}", f"data.source.root={garments}", config="evaluate"))
    sweep = tmp_path / "sweep"
    (sweep / "job").mkdir(parents=True)
    shutil.copytree(tmp_path / "run" / "checkpoints", sweep / "job" / "checkpoints")
    (sweep / "evaluation").symlink_to(tmp_path / "other")
    with pytest.raises(InputError, match=r"sweep/evaluation is a symbolic link to .*other"):
        evaluate(composed(f"ckpt={sweep}", f"data.source.root={garments}", config="evaluate"))
    assert not list((tmp_path / "other").iterdir())


@pytest.mark.parametrize("arguments", [["--help"], ["ckpt=run", "nonsense=1"]])
def test_help_and_a_mistyped_key_load_neither_torch_nor_lightning(arguments: list[str]) -> None:
    script = Path(__file__).parent.parent / "evaluate.py"
    command = [sys.executable, "-X", "importtime", str(script), *arguments]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    imported = {line.rpartition("|")[2].strip() for line in output.stderr.splitlines()}
    assert "hydra" in imported
    assert not imported & {"torch", "pytorch_lightning"}
