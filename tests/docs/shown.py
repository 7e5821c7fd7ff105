"""What README and the pages of docs/ show to be typed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHORT = ["data=bars", "trainer.max_epochs=1", "trainer.accelerator=cpu", "+trainer.limit_train_batches=1"]


def shown() -> list[str]:
    """Each command that README and the pages of docs/ show, in a block or between words."""
    commands: dict[str, None] = {}
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        blocks = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
        between = re.findall(r"`((?:python|make|tensorboard|pip) [^`]+)`", text)
        commands |= dict.fromkeys(line.partition(" #")[0].removesuffix(" ...").strip() for line in [*blocks, *between])
    return [command for command in commands if command]


def of(script: str) -> list[str]:
    return [command for command in shown() if command.startswith(script)]


def typed(command: str, run: Path | None = None, sweep: Path | None = None) -> list[str]:
    """The arguments of a command, with folders where it has placeholders."""
    text = re.sub(r"<[^>]*sweep[^>]*>", str(sweep), command)
    return shlex.split(re.sub(r"<[^>]+>", str(run), text))[2:]


def in_a_process(arguments: list[str], folder: Path, **variables: str) -> str:
    """What a command of a user's prints, run in ``folder``, in a process of its own; it must succeed."""
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
