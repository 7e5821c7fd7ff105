"""What README and docs/ show is run."""

from __future__ import annotations

import re
import runpy
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
    assert {file.name for file in tmp_path.iterdir()} == {
        f"figure_{n}.{kind}" for n in (2, 3) for kind in ("pdf", "png")
    }


@pytest.mark.parametrize("script", ["train.py", "evaluate.py", "benchmarks/epoch.py", "docs/figures.py"])
def test_scripts_that_the_readme_names_are_there(script: str) -> None:
    assert script in README
    assert (ROOT / script).exists()
