from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import type_in

LOGGER = """
import json
from pathlib import Path
from pytorch_lightning.loggers import Logger

class Notes(Logger):
    name = version = "notes"

    def __init__(self, file):
        super().__init__()
        self.file = Path(file)

    def log_hyperparams(self, params):
        self.write({"hyperparameters": params})

    def log_metrics(self, metrics, step=None):
        self.write({"step": step, "metrics": metrics})

    def finalize(self, status):
        self.write({"status": status})

    def write(self, line):
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\\n")
"""
YAML = "_target_: notes.Notes\nfile: ${hydra:runtime.output_dir}/notes.jsonl\n"
RUN = ["data=bars", "data.source.train_size=60", "data.source.test_size=20", "data.val_size=20", "latent_dim=4"]
RUN += ["trainer.max_epochs=2", "trainer.accelerator=cpu", "quiet=true", "hydra.run.dir=run"]


def test_a_logger_costs_a_class_and_a_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.py").write_text(LOGGER)
    (tmp_path / "conf" / "logger").mkdir(parents=True)
    (tmp_path / "conf" / "logger" / "notes.yaml").write_text(YAML)
    monkeypatch.syspath_prepend(tmp_path)
    outcome = type_in("train.py", ["--config-dir", "conf", "logger=notes", "sparsity.p=0.2", *RUN], tmp_path)
    assert outcome.status == 0, outcome.err
    lines = [json.loads(line) for line in (tmp_path / "run" / "notes.jsonl").read_text().splitlines()]
    measures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    given, *before, tested, status = lines
    assert {"train/loss", "val/loss"} <= {name for line in before for name in line.get("metrics", [])}
    assert tested == {"step": 2, "metrics": {key: each for key, each in measures.items() if key.startswith("test/")}}
    assert given["hyperparameters"].items() >= {"sparsity": "KL", "sparsity.p": 0.2, "latent_dim": 4}.items()
    assert status == {"status": "success"}
