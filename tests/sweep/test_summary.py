from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize
from omegaconf import OmegaConf

from partae.checks import InputError
from partae.run.run_folder import fail, finish
from partae.sweep.panels import PANELS, panels_figure
from partae.sweep.rows import names, read_sweep
from partae.sweep.summary import Summary

Measures = dict[str, float]


def job(
    folder: Path, number: int, overrides: list[str], measures: Measures | None, error: str = "", config: Any = None
) -> None:
    """The folder of a job of a sweep: finished if it has measures, failed if it has an error."""
    run = folder / ",".join(overrides)
    (run / ".hydra").mkdir(parents=True)
    hydra = {"mode": "MULTIRUN", "job": {"num": number}}
    contents = {"hydra": {"hydra": hydra}, "overrides": overrides, "config": config or {"seed": 0}}
    for name, content in contents.items():
        OmegaConf.save(OmegaConf.create(content), run / ".hydra" / f"{name}.yaml")
    if measures is not None:
        finish(run, measures, 1.5)
    if error:
        fail(run, InputError(error))


def end(folder: Path, **options: Any) -> None:
    """End the sweep in a folder."""
    Summary(**options).on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}}}))


def grid(folder: Path, *jobs: str) -> None:
    """The folder of a sweep of finished jobs, whose measures rise."""
    for number, overrides in enumerate(jobs):
        job(folder, number, overrides.split(), {f"test/{name}": 0.1 * (number + 1) for name in PANELS})


def test_panels_are_drawn_where_two_numbers_vary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    betas = ("0.001", "0.01", "0.1")
    grid(tmp_path, *(f"sparsity.p={p} sparsity.beta={beta} seed=0" for p in ("0.01", "0.1") for beta in betas))
    end(tmp_path)
    shown = capsys.readouterr().out
    assert f"Figures are in {tmp_path / 'panels.pdf'}\nOpen {tmp_path / 'sweep.html'} in a browser\n" in shown
    assert (tmp_path / "panels.pdf").exists()
    figure = panels_figure(read_sweep(tmp_path))
    assert figure is not None
    assert [axes.get_xlabel() for axes in figure.axes] == ["sparsity.beta"] * 6
    assert [line.get_label() for line in figure.axes[0].lines] == ["0.01", "0.1"]
    np.testing.assert_allclose(np.asarray(figure.axes[0].lines[1].get_ydata()), [0.4, 0.5, 0.6])
    assert figure.axes[2].get_title() == "(c) Max-approximation error"


def test_panels_do_not_outlive_the_jobs_that_they_show(tmp_path: Path) -> None:
    grid(tmp_path, "sparsity.p=0.1", "sparsity.p=0.2")
    end(tmp_path)
    assert len(list(tmp_path.glob("panels.*"))) == 2
    shutil.rmtree(tmp_path / "sparsity.p=0.2")
    (tmp_path / "panels.txt").write_text("a user's own")
    end(tmp_path)
    assert [file.name for file in tmp_path.glob("panels.*")] == ["panels.txt"]


@pytest.mark.parametrize(
    "jobs",
    [
        ["sparsity=kl seed=0", "sparsity=none seed=0"],
        ["sparsity=kl seed=0", "sparsity=none seed=0", "sparsity=none seed=1"],
        [f"sparsity.p=0.{number} sparsity.beta=0.0{number}" for number in (1, 2, 3, 4)],  # a search
    ],
)
def test_no_panels_where_no_number_varies_or_all_at_once(jobs: list[str], tmp_path: Path) -> None:
    grid(tmp_path, *jobs)
    assert panels_figure(read_sweep(tmp_path)) is None


def test_jobs_of_several_commands_stay_together_and_have_names(tmp_path: Path) -> None:
    for number, row in enumerate(["none", "kl"]):
        job(tmp_path, number, [f"table_1@_global_={row}"], None)
        job(tmp_path, number, ["model=asymmetric", f"table_1@_global_={row}"], None)
    assert names(read_sweep(tmp_path)) == ["none", "kl", "asymmetric, none", "asymmetric, kl"]


def test_jobs_that_words_do_not_tell_apart_are_called_by_their_folders(tmp_path: Path) -> None:
    for number, overrides in enumerate((["sparsity=l1"], ["sparsity=l2"], ["decay=l1"], ["decay=none"])):
        job(tmp_path, number, overrides, None)
    assert names(read_sweep(tmp_path)) == ["decay=l1", "none", "sparsity=l1", "l2"]


@pytest.mark.parametrize("content", ["{}", "hydra: text", "hydra: {mode: RUN}"])
def test_a_folder_that_is_no_job_is_passed_over(content: str, tmp_path: Path) -> None:
    job(tmp_path, 0, ["a=1"], None)
    (tmp_path / "other" / ".hydra").mkdir(parents=True)
    (tmp_path / "other" / ".hydra" / "hydra.yaml").write_text(content)
    assert [row["folder"] for row in read_sweep(tmp_path)] == ["a=1"]


def test_a_job_whose_measures_are_damaged_is_named(tmp_path: Path) -> None:
    job(tmp_path, 0, ["a=1"], {"test/loss": 1.0})
    file = tmp_path / "a=1" / "metrics.json"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"a=1/metrics\.json is damaged"):
        read_sweep(tmp_path)


def test_published_figures_stand_beside_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with initialize(version_base="1.3", config_path="../../conf"):
        config = compose("train", overrides=["sparsity.p=0.2", "sparsity.beta=0.001"])
    job(tmp_path, 0, ["a=1"], {"test/reconstruction_error": 0.0099, "test/dead_atoms": 0}, config=config)
    end(tmp_path, published=True)
    assert "0.009900 (0.0103)" in capsys.readouterr().out


def test_nothing_that_a_folder_says_is_followed_or_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "marker"

    def run() -> float:
        marker.touch()
        return 0.2

    OmegaConf.register_new_resolver("tests.payload", run, replace=True)
    monkeypatch.setenv("SECRET", "0.2")
    payload = {"_target_": "os.system", "command": f"touch {marker}"}
    sparsity = {"_target_": "partae.sparsity.KL", "p": "${oc.env:SECRET}", "beta": "${tests.payload:}", "x": payload}
    config = {"latent_dim": 100, "sparsity": sparsity, "model": payload}
    job(tmp_path, 0, ["a=1", "b=${tests.payload:}"], {"test/reconstruction_error": 0.0099}, config=config)
    end(tmp_path, published=True)
    assert "0.009900" in capsys.readouterr().out
    assert not marker.exists()


def test_a_sweep_ends_with_a_row_a_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job(tmp_path, 10, ["sparsity.beta=0.1"], {"test/reconstruction_error": 0.02, "val/loss": 0.3})
    job(tmp_path, 2, ["sparsity.beta=0.01"], {"test/reconstruction_error": 0.01, "val/loss": 0.2})
    job(tmp_path, 11, ["sparsity.beta=1"], None)
    end(tmp_path)
    with (tmp_path / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["sparsity.beta"] for row in rows] == ["0.01", "0.1", "1"]
    assert [row["status"] for row in rows] == ["finished", "finished", "unfinished"]
    assert rows[1] == {
        "sparsity.beta": "0.1",
        "seed": "0",
        "test/reconstruction_error": "0.02",
        "val/loss": "0.3",
        "wall_time": "1.5",
        "status": "finished",
        "folder": "sparsity.beta=0.1",
    }
    shown = capsys.readouterr().out
    assert "0.02000" in shown
    assert "val/loss" not in shown
    assert str(tmp_path / "sweep.csv") in shown


def test_a_stopped_sweep_says_how_to_continue_once_a_job_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr("partae.sweep.summary.atexit.register", lambda *call: at_exit.append(partial(*call)))
    hydra = {"sweep": {"dir": str(tmp_path)}, "sweeper": {"_target_": "a.BasicSweeper"}}
    Summary().on_multirun_start(OmegaConf.create({"hydra": hydra}))
    at_exit[0]()
    assert (capsys.readouterr().out, [file.name for file in tmp_path.iterdir()]) == ("", ["multirun.yaml"])
    job(tmp_path, 0, ["sparsity.beta=0.1"], measures=None)
    at_exit[0]()
    assert "The sweep was stopped. Continue with the other jobs:" in capsys.readouterr().out


def test_a_failed_job_is_listed_and_ends_the_sweep_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job(tmp_path, 0, ["latent_dim=4", "sparsity.p=0.1"], {"test/reconstruction_error": 0.02})
    job(tmp_path, 1, ["latent_dim=4", "sparsity.p=1.5"], None, "sparsity.p must be less; got 1.5")
    with pytest.raises(SystemExit) as ending:
        end(tmp_path)
    assert ending.value.code == 1
    assert [row["status"] for row in read_sweep(tmp_path)] == ["finished", "failed"]
    shown = capsys.readouterr().out
    assert "1 of 2 jobs failed:\n  sparsity.p=1.5: sparsity.p must be less; got 1.5" in shown
    assert "<p>Failed: sparsity.p=1.5: sparsity.p must be less; got 1.5</p>" in (tmp_path / "sweep.html").read_text()
    assert "latent_dim" not in shown, "what all jobs share tells nothing"
