"""The training commands of README, docs/ and conf/ compose; all of README and docs/ but those for a cluster train."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize
from hydra.core.override_parser.overrides_parser import OverridesParser

import partae.sweep  # noqa: F401  (what conf/ calls)
from tests.command_line import type_in
from tests.docs.shown import PAGES, ROOT, SHORT, blocks, in_a_process, of, the_penalty, typed

CLUSTER = re.compile("submitit_slurm|init.address=")
# these start processes, which they cannot do from within a test's, or need packages whose warnings are not ours
ENGINE = re.compile("launcher=(?!stacked)|experiment=search|trainer=ddp|logger=(mlflow|wandb)")
SPECIAL = re.compile(
    f"{ENGINE.pattern}|resume=|--config-dir|experiment=leaderboard"
)  # these have tests of their own below


def headers() -> Iterator[str]:
    """The commands that the files of conf/ open with."""
    for file in sorted((ROOT / "conf").rglob("*.yaml")):
        yield from re.findall(r"^# (python train\.py.*)$", file.read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", dict.fromkeys([*of("python train.py"), *headers()]))
def test_a_training_command_composes(command: str) -> None:
    overrides = []
    arguments = [argument for argument in typed(command) if "=" in argument and not argument.startswith("-")]
    arguments = [argument for argument in arguments if "--config-dir" not in command or "entropy" not in argument]
    for override in OverridesParser.create().parse_overrides(arguments):
        first = next(iter(override.sweep_string_iterator())) if override.is_sweep_override() else None
        line = str(override.input_line)
        overrides.append(line if first is None else f"{line.partition('=')[0]}={first}")
    with initialize(version_base="1.3", config_path="../../conf"):
        assert compose("train", overrides=overrides)


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in of("python train.py") if not SPECIAL.search(command)])
def test_a_training_command_trains(command: str, tmp_path: Path) -> None:
    # an epoch of one batch of bars, whatever data the command names
    arguments = [argument for argument in typed(command) if not argument.startswith("data")]
    arguments.sort(key=lambda argument: not argument.startswith("-"))
    options = sum(argument.startswith("-") for argument in arguments)
    arguments.insert(options, "latent_dim=4")  # unless the command says otherwise: a bar image has 64 pixels
    epochs = ["trainer.max_epochs=2"] if "dbn" in command else []  # one for each of its two machines
    outcome = type_in("train.py", [*arguments, *SHORT, *epochs], tmp_path)
    assert outcome.status == 0, outcome.err
    if "--help" in arguments:
        assert "sparsity=" in outcome.out
        return
    assert list(tmp_path.rglob("metrics.json"))
    assert len(list(tmp_path.rglob("sweep.csv"))) == arguments.count("-m")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [each for each in of("python train.py") if ENGINE.search(each) and not CLUSTER.search(each)]
)
def test_a_command_for_an_engine_trains(command: str, tmp_path: Path) -> None:
    for name in re.findall("logger=(mlflow|wandb)", command):
        pytest.importorskip(name)
    arguments = [*typed(command), *SHORT, "latent_dim=4"]
    arguments += ["hydra.sweeper.n_trials=2"] if "experiment=search" in command else []
    in_a_process([sys.executable, str(ROOT / "train.py"), *arguments], tmp_path, WANDB_MODE="offline")
    assert list(tmp_path.rglob("metrics.json"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_job_of_a_slurm_array_trains(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "bash")):
        here = tmp_path / str(number)
        here.mkdir()
        python = (
            f'python() {{ shift; {shlex.quote(sys.executable)} {ROOT}/train.py "$@" {" ".join(SHORT)} latent_dim=4; }}'
        )
        in_a_process(["bash", "-e", "-c", f"{python}\n{block}"], here, SLURM_ARRAY_TASK_ID="1")
        assert len(list(here.rglob("metrics.json"))) == 8


@pytest.mark.slow
@pytest.mark.parametrize("command", [each for each in of("python train.py") if "--config-dir" in each])
def test_a_penalty_outside_partae_trains_and_is_evaluated(command: str, tmp_path: Path) -> None:
    code, config = the_penalty()
    (tmp_path / "my_package.py").write_text(code)
    (tmp_path / "settings" / "sparsity").mkdir(parents=True)
    own = config.replace("partae.sparsity.penalties.", "my_package.")
    (tmp_path / "settings" / "sparsity" / "entropy.yaml").write_text(own)
    in_a_process([sys.executable, str(ROOT / "train.py"), *typed(command), *SHORT, "hydra.run.dir=run"], tmp_path)
    in_a_process([sys.executable, str(ROOT / "evaluate.py"), "ckpt=run"], tmp_path)
    assert (tmp_path / "run" / "evaluation" / "report.html").exists()


@pytest.mark.slow
def test_an_encoder_outside_partae_trains_and_the_line_at_the_end_evaluates_it(tmp_path: Path) -> None:
    page = ROOT / "docs" / "extending.md"
    (code,) = (block for block in blocks(page, "python") if block.startswith("class Shallow"))
    (config,) = (block for block in blocks(page, "yaml") if "encoder=shallow" in block)
    (tmp_path / "my_package.py").write_text(f"import math\nfrom torch import nn\n{code}")
    (tmp_path / "settings" / "encoder").mkdir(parents=True)
    (tmp_path / "settings" / "encoder" / "shallow.yaml").write_text(config)
    command = [sys.executable, str(ROOT / "train.py"), "--config-dir", "settings", "encoder=shallow", *SHORT]
    printed = in_a_process(command, tmp_path)
    _, script, *arguments = shlex.split(printed.strip().splitlines()[-1])
    assert "trust=[my_package]" in arguments
    in_a_process([sys.executable, script, *arguments], tmp_path)
    assert list(tmp_path.rglob("report.html"))


@pytest.mark.slow
@pytest.mark.parametrize("command", [each for each in of("python train.py") if "resume=" in each])
def test_a_resume_command_finishes_a_run(command: str, tmp_path: Path) -> None:
    assert type_in("train.py", ["hydra.run.dir=run", *SHORT], tmp_path).status == 0
    (tmp_path / "run" / "metrics.json").unlink()
    outcome = type_in("train.py", typed(command, run=Path("run")), tmp_path)
    assert outcome.status == 0, outcome.err
    assert (tmp_path / "run" / "metrics.json").exists()
