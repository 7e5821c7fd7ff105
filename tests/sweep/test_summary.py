from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from partae.checks import InputError
from partae.run.folder import fail, finish
from partae.run.resolvers import job_folder, new_folder
from partae.sweep.front import front_figure, front_of, on_front
from partae.sweep.rows import names, read_sweep
from partae.sweep.summary import PANELS, Summary, sweep_figure


def job(folder: Path, number: int, overrides: list[str], measures: dict[str, float] | None, error: str = "") -> None:
    run = folder / ",".join(overrides)
    (run / ".hydra").mkdir(parents=True)
    hydra = {"mode": "MULTIRUN", "job": {"num": number}}
    for name, content in (("hydra", {"hydra": hydra}), ("overrides", overrides), ("config", {"seed": 0})):
        OmegaConf.save(OmegaConf.create(content), run / ".hydra" / f"{name}.yaml")
    if measures is not None:
        finish(run, measures, 1.5)
    if error:
        fail(run, InputError(error))


def test_panels_are_drawn_where_two_numbers_vary(tmp_path: Path) -> None:
    for number, (p, beta) in enumerate((p, beta) for p in ("0.01", "0.1") for beta in ("0.001", "0.01", "0.1")):
        measures = {f"test/{name}": float(beta) for name in PANELS}
        job(tmp_path, number, [f"sparsity.p={p}", f"sparsity.beta={beta}", "seed=0"], measures)
    Summary().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert (tmp_path / "panels.pdf").exists()
    figure = sweep_figure(read_sweep(tmp_path))
    assert figure is not None
    assert [axes.get_xlabel() for axes in figure.axes] == ["sparsity.beta"] * 6
    assert [line.get_label() for line in figure.axes[0].lines] == ["0.01", "0.1"]
    assert figure.axes[2].get_title() == "(c) Max-approximation error"


def test_no_panels_where_one_number_varies_or_a_name(tmp_path: Path) -> None:
    measures = {f"test/{name}": 0.1 for name in PANELS}
    job(tmp_path, 0, ["sparsity=kl", "seed=0"], measures)
    job(tmp_path, 1, ["sparsity=none", "seed=0"], measures)
    assert sweep_figure(read_sweep(tmp_path)) is None
    job(tmp_path, 2, ["sparsity=none", "seed=1"], measures)
    assert sweep_figure(read_sweep(tmp_path)) is None


def test_the_front_is_drawn_of_validation_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def measures(reconstruction: float, approximation: float) -> dict[str, float]:
        val = {
            "reconstruction_error": reconstruction,
            "max_approximation_error_calibrated": approximation,
            "hoyer_sparsity": 0.5,
        }
        return {f"val/{name}": value for name, value in val.items()} | {f"test/{name}": 1.0 for name in PANELS}

    sweep, other = tmp_path / "sweep", tmp_path / "other"
    for number, pair in enumerate([(0.01, 0.3), (0.02, 0.1), (0.03, 0.2), (0.005, 0.9)]):
        job(sweep, number, [f"sparsity.beta={number}", "seed=0"], measures(*pair))
    job(other, 0, ["model=pca"], measures(0.04, 0.05))
    summary = Summary(front=True, beside=[str(other), str(tmp_path / "none")])
    summary.on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(sweep)}}}))
    assert [row["sparsity.beta"] for row in front_of(read_sweep(sweep))] == ["3", "0", "1"]
    assert (sweep / "front.pdf").exists()
    out = capsys.readouterr().out
    assert "On the front" in out
    assert f"{tmp_path / 'none'} has no finished runs with a calibrated error" in out
    figure = front_figure(read_sweep(sweep), {"pca": read_sweep(other)[0]})
    assert [text.get_text() for text in figure.axes[0].texts] == ["1"]
    assert [text.get_text() for text in figure.legends[1].get_texts()] == ["1  pca"]


def test_jobs_of_several_commands_stay_together_and_have_names(tmp_path: Path) -> None:
    for number, row in enumerate(["none", "kl"]):
        job(tmp_path, number, [f"table_1@_global_={row}"], None)
        job(tmp_path, number, ["model=asymmetric", f"table_1@_global_={row}"], None)
    assert names(read_sweep(tmp_path)) == ["none", "kl", "asymmetric, none", "asymmetric, kl"]


def test_jobs_that_words_do_not_tell_apart_are_called_by_their_folders(tmp_path: Path) -> None:
    for number, overrides in enumerate((["sparsity=l1"], ["sparsity=l2"], ["decay=l1"], ["decay=none"])):
        job(tmp_path, number, overrides, None)
    assert names(read_sweep(tmp_path)) == ["decay=l1", "none", "sparsity=l1", "l2"]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_no_point_of_the_front_is_beaten(pairs: list[tuple[int, int]]) -> None:
    for point, on in zip(pairs, on_front(np.array(pairs, dtype=float)), strict=True):
        beaten = any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in pairs)
        assert on == (not beaten)


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
    job(tmp_path, 0, ["a=1"], {"test/reconstruction_error": 0.0099, "test/dead_atoms": 0})
    with initialize(version_base="1.3", config_path="../../conf"):
        config = compose("train", overrides=["sparsity.p=0.2", "sparsity.beta=0.001"])
    OmegaConf.save(config, tmp_path / "a=1" / ".hydra" / "config.yaml")
    Summary(published=True).on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
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
    job(tmp_path, 0, ["a=1", "b=${tests.payload:}"], {"test/reconstruction_error": 0.0099, "test/dead_atoms": 0})
    payload = {"_target_": "os.system", "command": f"touch {marker}"}
    sparsity = {"_target_": "partae.sparsity.KL", "p": "${oc.env:SECRET}", "beta": "${tests.payload:}", "x": payload}
    OmegaConf.save(
        OmegaConf.create({"latent_dim": 100, "sparsity": sparsity, "model": payload}),
        tmp_path / "a=1,b=${tests.payload:}" / ".hydra" / "config.yaml",
    )
    Summary(published=True).on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert "0.009900" in capsys.readouterr().out
    assert not marker.exists()


def test_a_sweep_ends_with_a_row_a_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job(tmp_path, 10, ["sparsity.beta=0.1"], {"test/reconstruction_error": 0.02, "val/loss": 0.3})
    job(tmp_path, 2, ["sparsity.beta=0.01"], {"test/reconstruction_error": 0.01, "val/loss": 0.2})
    job(tmp_path, 11, ["sparsity.beta=1"], None)
    Summary().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))

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


def test_a_failed_job_is_listed_and_ends_the_sweep_with_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measures = {"test/reconstruction_error": 0.02}
    job(tmp_path, 0, ["latent_dim=4", "sparsity.p=0.1"], measures)
    job(tmp_path, 1, ["latent_dim=4", "sparsity.p=1.5"], None, "sparsity.p must be less; got 1.5")
    with pytest.raises(SystemExit) as end:
        Summary().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert end.value.code == 1
    assert [row["status"] for row in read_sweep(tmp_path)] == ["finished", "failed"]
    shown = capsys.readouterr().out
    assert "1 of 2 jobs failed:\n  sparsity.p=1.5: sparsity.p must be less; got 1.5" in shown
    assert "latent_dim" not in shown, "what all jobs share tells nothing"


def test_no_panels_of_a_search(tmp_path: Path) -> None:
    for number in range(4):
        measures = {f"test/{name}": 0.1 for name in PANELS}
        job(tmp_path, number, [f"sparsity.p=0.{number + 1}", f"sparsity.beta=0.0{number + 1}"], measures)
    assert sweep_figure(read_sweep(tmp_path)) is None


def test_a_run_of_the_same_name_is_no_job_of_the_sweep(tmp_path: Path) -> None:
    job(tmp_path, 0, ["seed=1"], None)
    job(tmp_path, 0, ["seed=2"], None)
    file = tmp_path / "seed=2" / ".hydra" / "hydra.yaml"
    file.write_text(file.read_text().replace("MULTIRUN", "RUN"))
    assert [row["seed"] for row in read_sweep(tmp_path)] == ["1"]


def test_jobs_of_other_overrides_have_other_folders() -> None:
    overrides = ["a-x/y", "a-x_y", "a-x y", "a-" + 300 * "x", "a-" + 301 * "x", ""]
    folders = [job_folder(each) for each in overrides]
    assert len(set(folders)) == len(folders)
    assert all(0 < len(folder) <= 255 for folder in folders)


def test_two_commands_of_one_second_get_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = [new_folder("default", "2024-05-01_12-00-00") for _ in range(3)]
    assert folders == [f"outputs/default/2024-05-01_12-00-00{suffix}" for suffix in ("", "_2", "_3")]
    assert all(Path(folder).is_dir() for folder in folders)
