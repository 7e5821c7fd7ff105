"""What README and docs/ show is run."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

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


@pytest.mark.parametrize("script", ["train.py", "evaluate.py", "benchmarks/epoch.py", "docs/figures.py"])
def test_scripts_that_the_readme_names_are_there(script: str) -> None:
    assert script in README
    assert (ROOT / script).exists()
