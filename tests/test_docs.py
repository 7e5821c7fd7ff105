"""What README and docs/ show is run."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hydra import compose, initialize
from hydra.utils import instantiate
from sklearn.datasets import load_digits

import partae.sweep  # noqa: F401  (what conf/ calls)

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_penalty_in_the_readme_works() -> None:
    code = re.search(r"```python\n(class.*?)```", README, re.DOTALL)
    config = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert code is not None
    assert config is not None
    imports = "from __future__ import annotations\nimport torch\nfrom torch import Tensor, nn\n"
    names: dict[str, type[torch.nn.Module]] = {}
    exec(compile(f"{imports}from partae.checks import real\n{code[1]}", "README.md", "exec"), names)
    arguments = yaml.safe_load(config[1])
    kind = names[arguments.pop("_target_").rpartition(".")[2]]
    penalty = kind(**arguments)
    dense, sparse = torch.full((3, 8), 0.5), torch.eye(8) * 0.5
    assert penalty(sparse) < penalty(dense)
    assert penalty(torch.zeros(2, 8)).isfinite()


def test_the_figures_of_the_docs_are_drawn(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "docs" / "figures.py"))
    script["main"].__globals__["FOLDER"] = tmp_path
    script["main"]()
    names = ("figure_2", "figure_3", "shrinkage")
    assert {file.name for file in tmp_path.iterdir()} == {f"{name}.{kind}" for name in names for kind in ("pdf", "png")}


def test_l1_takes_coefficients_away_and_l2_does_not() -> None:
    paths = runpy.run_path(str(ROOT / "docs" / "figures.py"))["shrinkage"]()
    (_, l1), (_, l2) = paths.values()
    assert (l1[0] > 0).sum() == (l2[0] > 0).sum()
    assert (l1[-1] > 0).sum() == 0
    assert (l2[-1] > 0).sum() > (l2[0] > 0).sum()


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "docs", str(tmp_path)]
    subprocess.run([sys.executable, "docs/figures.py"], cwd=ROOT, check=True)
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert "sparsity.KL" in (tmp_path / "api.html").read_text()


def test_the_digits_are_written_and_can_be_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "digits.py"))["main"](tmp_path / "digits.npz")
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("  python train.py"))
    with initialize(version_base="1.3", config_path="../conf"):
        cfg = compose("train", overrides=shlex.split(line)[2:])
    data = instantiate(cfg.data)
    data.check()
    data.setup("test")
    assert cfg.encoder.image_shape == [1, 8, 8]
    assert data.classes == tuple("0123456789")
    images, labels = (torch.cat(parts) for parts in zip(*data.batches("test"), strict=True))
    digits = load_digits()
    np.testing.assert_allclose(images[:, 0] * 16, digits.images[-360:])
    np.testing.assert_array_equal(labels, digits.target[-360:])


def shown_commands(page: str) -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]


DATA_COMMANDS = shown_commands("data.md")


@pytest.mark.parametrize("command", DATA_COMMANDS, ids=" ".join)
def test_the_commands_of_the_page_on_data_compose(command: list[str]) -> None:
    program, script, *overrides = command
    assert program == "python"
    assert (ROOT / script).exists()
    if script in ("train.py", "evaluate.py"):
        with initialize(version_base="1.3", config_path="../conf"):
            assert compose(script.removesuffix(".py"), overrides=overrides).data.source._target_


@pytest.mark.slow
def test_the_commands_of_the_page_on_data_run(tmp_path: Path, images_of_odd_sizes: Path, some_arrays: Path) -> None:
    images_of_odd_sizes.rename(tmp_path / "photos")
    commands = [
        command for command in DATA_COMMANDS if not any("mnist" in word for word in command)
    ]  # not to be had here
    assert len(commands) >= 5
    for _, script, *overrides in commands:
        if script == "train.py":
            run = "mine" if "data.source.root=outputs/digits.npz" in overrides else "other"
            overrides += ["trainer.max_epochs=1", f"hydra.run.dir=outputs/{run}"]
        done = subprocess.run(
            [sys.executable, str(ROOT / script), *overrides],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "outputs" / "mine" / "evaluation" / "metrics.json").exists()


@pytest.mark.parametrize("script", ["train.py", "evaluate.py", "benchmarks/epoch.py", "docs/figures.py"])
def test_scripts_that_the_readme_names_are_there(script: str) -> None:
    assert script in README
    assert (ROOT / script).exists()
