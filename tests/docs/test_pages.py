"""The code and the figures of README and docs/ work, and the documentation builds."""

from __future__ import annotations

import copy
import os
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
import yaml
from hydra import compose, initialize
from hydra.utils import instantiate
from nbclient import NotebookClient
from sklearn.datasets import load_digits

import partae.sweep  # noqa: F401  (what conf/ calls)
from partae.data import FashionMNIST
from tests.command_line import type_in
from tests.docs.shown import PAGES, ROOT, blocks, in_a_process, the_penalty
from tests.test_conf import check_promises
from tests.test_conf import code as code_of_a_batch


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if "partae.load(" in "".join(blocks(page, "python"))], ids=lambda page: page.name
)
def test_python_that_uses_a_model_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").symlink_to(ROOT / "data")
    brief = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "trainer.accelerator=cpu", "hydra.run.dir=run"]
    assert type_in("train.py", brief, tmp_path).status == 0
    monkeypatch.chdir(tmp_path)
    code = re.sub(r'partae\.load\("[^"]*"\)', 'partae.load("run")', "".join(blocks(page, "python")))
    images, training_images = (FashionMNIST(ROOT / "data").load(split)[0][:1000] / 255 for split in ("test", "train"))
    names: dict[str, Any] = {"images": images, "training_images": training_images}
    exec(compile(code, str(page), "exec"), names)
    assert 0.9 < names["images"].max() <= 1, "a page may load images of its own"


def test_the_penalty_of_the_page_works() -> None:
    code, config = the_penalty()
    names: dict[str, type[torch.nn.Module]] = {}
    exec(compile(code, "extending.md", "exec"), names)
    arguments = yaml.safe_load(config)
    kind = names[arguments.pop("_target_").rpartition(".")[2]]
    penalty = kind(**arguments)
    dense, sparse = torch.full((3, 8), 0.5), torch.eye(8) * 0.5
    assert penalty(sparse) < penalty(dense)
    assert penalty(torch.zeros(2, 8)).isfinite()
    check_promises(penalty.double(), code_of_a_batch())


def test_the_figures_of_the_docs_are_drawn(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "docs" / "figures.py"))
    script["main"].__globals__["FOLDER"] = tmp_path
    script["main"]()
    names = ("figure_2", "figure_3", "shrinkage")
    assert {file.name for file in tmp_path.iterdir()} == {f"{name}.{kind}" for name in names for kind in ("pdf", "png")}


def test_in_the_figure_l1_removes_coefficients_and_l2_does_not() -> None:
    paths = runpy.run_path(str(ROOT / "docs" / "figures.py"))["shrinkage"]()
    (_, l1), (_, l2) = paths.values()
    assert (l1[0] > 0).sum() == (l2[0] > 0).sum()
    assert (l1[-1] > 0).sum() == 0
    assert (l2[-1] > 0).sum() > (l2[0] > 0).sum()


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "docs", str(tmp_path)]
    in_a_process(command, ROOT)
    assert "sparsity.KL" in (tmp_path / "api" / "sparsity.html").read_text()


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(ROOT / "examples" / "quickstart.ipynb", as_version=4)
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # where partae-train is
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    settings: dict[str, Any] = {"resources": {"metadata": {"path": tmp_path}}, "timeout": 1200}
    brief = copy.deepcopy(notebook)
    assert "max_epochs=12" in brief.cells[2].source
    brief.cells[2].source = brief.cells[2].source.replace("max_epochs=12", "max_epochs=1")
    NotebookClient(brief, **settings).execute()
    # what the file shows was printed and drawn by its own cells
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.startswith("partae.plot"):
            assert "image/png" in cell.outputs[-1].data


def test_the_digits_are_written_and_can_be_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "digits.py"))["main"](tmp_path / "digits.npz")
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("  python train.py"))
    with initialize(version_base="1.3", config_path="../../conf"):
        cfg = compose("train", overrides=shlex.split(line)[2:])
    data = instantiate(cfg.data)
    data.check()
    data.setup("test")
    assert cfg.encoder.image_shape == [1, 8, 8]
    assert data.classes == tuple("0123456789")
    images, labels = (torch.cat(tensors) for tensors in zip(*data.batches("test"), strict=True))
    digits = load_digits()
    np.testing.assert_allclose(images[:, 0] * 16, digits.images[-360:])
    np.testing.assert_array_equal(labels, digits.target[-360:])
