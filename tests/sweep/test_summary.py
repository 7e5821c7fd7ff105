from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from partae.sweep import Summary


def job(folder: Path, number: int, overrides: list[str], measures: dict[str, float] | None) -> None:
    run = folder / ",".join(overrides)
    (run / ".hydra").mkdir(parents=True)
    OmegaConf.save({"hydra": {"job": {"num": number}, "overrides": {"task": overrides}}}, run / ".hydra" / "hydra.yaml")
    if measures is not None:
        (run / "metrics.json").write_text(json.dumps(measures))


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
        "test/reconstruction_error": "0.02",
        "val/loss": "0.3",
        "status": "finished",
        "folder": "sparsity.beta=0.1",
    }
    shown = capsys.readouterr().out
    assert "0.02000" in shown
    assert "val/loss" not in shown
    assert str(tmp_path / "sweep.csv") in shown
