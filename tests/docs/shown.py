"""The commands that README and the pages of docs/ show."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
SHORT = ["data=bars", "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.limit_train_batches=1"]


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of a page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def the_penalty() -> tuple[str, str]:
    """The penalty that docs/extending.md shows as a module, and its yaml file."""
    page = ROOT / "docs" / "extending.md"
    (code,) = (block for block in blocks(page, "python") if block.startswith("class Entropy"))
    (config,) = (block for block in blocks(page, "yaml") if "Entropy" in block)
    imports = (
        "import torch\nfrom torch import Tensor\nfrom partae.checks import real\nfrom partae.printed import Printed\n"
    )
    return imports + code, config


def shown() -> list[str]:
    """Every command of README and the pages of docs/, in a block or in the text."""
    commands: dict[str, None] = {}
    for page in PAGES:
        lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
        lines += re.findall(r"`((?:python|make|tensorboard|pip) [^`]+)`", page.read_text())
        commands |= dict.fromkeys(line.partition(" #")[0].removesuffix(" ...").strip() for line in lines)
    return [command for command in commands if command]


def of(script: str) -> list[str]:
    return [command for command in shown() if command.startswith(script)]


def typed(command: str, run: Path | None = None, sweep: Path | None = None) -> list[str]:
    """The arguments of a command, with folders where it has placeholders."""
    text = re.sub(r"<[^>]*sweep[^>]*>", str(sweep), command)
    return shlex.split(re.sub(r"<[^>]+>", str(run), text))[2:]


def in_a_process(arguments: list[str], folder: Path, **variables: str) -> str:
    """Run a command in ``folder``, in a new process, and return what it printed; it must succeed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        arguments,
        cwd=folder,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
