"""What README and docs/ show is run."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hydra import compose, initialize
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from sklearn.datasets import load_digits

import partae.sweep  # noqa: F401  (what conf/ calls)
from tests.command_line import type_in
from tests.slurm import stand_in
from tests.sweep.test_engines import wait
from tests.test_conf import check_promises
from tests.test_conf import code as code_of_a_batch

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CLUSTER = re.compile("submitit_slurm|init.address=")
# processes of their own, which cannot start from within a test's
ENGINE = re.compile("launcher=(?!stacked)|experiment=search|trainer=ddp")
SPECIAL = re.compile(f"{ENGINE.pattern}|resume=|--config-dir")  # each has a test of its own below
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


def headers() -> Iterator[str]:
    """The command that each file of conf/ opens with."""
    for file in sorted((ROOT / "conf").rglob("*.yaml")):
        yield from re.findall(r"^# (python train\.py.*)$", file.read_text(), re.MULTILINE)


def test_commands_are_found_in_every_shape() -> None:
    assert {"make train", "python train.py -m experiment=table_1", "python docs/figures.py"} <= set(shown())
    assert len(of("python train.py")) > 5
    assert len(of("python evaluate.py")) > 2
    scripts = ("train.py", "evaluate.py", "docs/", "benchmarks/", "examples/", "-m tests.")
    known = tuple(f"python {script}" for script in scripts)
    others = ("make ", "tensorboard ", "source .venv/bin/activate", "pip install ", "git ", "eval ")
    assert not [command for command in shown() if not command.startswith((*known, *others))]


@pytest.mark.parametrize("command", dict.fromkeys([*of("python train.py"), *headers()]))
def test_what_is_typed_to_train_composes(command: str) -> None:
    overrides = []
    arguments = [argument for argument in typed(command) if "=" in argument and not argument.startswith("-")]
    arguments = [argument for argument in arguments if "--config-dir" not in command or "entropy" not in argument]
    for override in OverridesParser.create().parse_overrides(arguments):
        first = next(iter(override.sweep_string_iterator())) if override.is_sweep_override() else None
        line = str(override.input_line)
        overrides.append(line if first is None else f"{line.partition('=')[0]}={first}")
    with initialize(version_base="1.3", config_path="../conf"):
        assert compose("train", overrides=overrides)


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in of("python train.py") if not SPECIAL.search(command)])
def test_what_is_typed_to_train_trains(command: str, tmp_path: Path) -> None:
    # whatever the data, an epoch of one batch of bars
    arguments = [argument for argument in typed(command) if not argument.startswith("data")]
    arguments.sort(key=lambda argument: not argument.startswith("-"))
    options = sum(argument.startswith("-") for argument in arguments)
    arguments.insert(options, "latent_dim=4")  # unless it is typed: images of bars have 64 pixels
    outcome = type_in("train.py", [*arguments, *SHORT], tmp_path)
    assert outcome.status == 0, outcome.err
    if "--help" in arguments:
        assert "sparsity=" in outcome.out
        return
    assert list(tmp_path.rglob("metrics.json"))
    assert len(list(tmp_path.rglob("sweep.csv"))) == arguments.count("-m")


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [each for each in of("python train.py") if ENGINE.search(each) and not CLUSTER.search(each)]
)
def test_what_is_typed_for_an_engine_trains(command: str, tmp_path: Path) -> None:
    arguments = [*typed(command), *SHORT, "latent_dim=4"]
    arguments += ["hydra.sweeper.n_trials=2"] if "experiment=search" in command else []
    in_a_process([sys.executable, str(ROOT / "train.py"), *arguments], tmp_path)
    assert list(tmp_path.rglob("metrics.json"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("command", [each for each in of("python train.py") if "submitit_slurm" in each])
def test_what_is_typed_for_slurm_trains(command: str, tmp_path: Path) -> None:
    few = ["sparsity.p=0.05", "sparsity.beta=0.001,0.01"] if "experiment=" in command else []
    path = f"{stand_in(tmp_path / 'slurm')}{os.pathsep}{os.environ['PATH']}"
    arguments = [*typed(command, run=Path("one")), *SHORT, "latent_dim=4", *few]
    in_a_process([sys.executable, str(ROOT / "train.py"), *arguments], tmp_path, PATH=path)
    assert len(list(tmp_path.rglob("metrics.json"))) == (2 if few else 1)
    assert list(tmp_path.rglob("sweep.csv"))
    assert [file for file in tmp_path.rglob("*_log.out") if ".submitit" in file.parts]


@pytest.mark.slow
@pytest.mark.parametrize("command", [each for each in of("python train.py") if "init.address=" in each])
def test_what_is_typed_for_a_ray_cluster_trains(command: str, tmp_path: Path) -> None:
    arguments = [*typed(command), *SHORT, "latent_dim=4"]
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # the name of a socket in it must be short
        own = {"RAY_TMPDIR": folder, "RAY_ADDRESS": "", "RAY_USAGE_STATS_ENABLED": "0"}
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--num-cpus=2", "--block"]
        start += [f"--port={free_port()}", f"--ray-client-server-port={free_port()}", "--include-dashboard=false"]
        head = subprocess.Popen(start, env={**os.environ, **own}, stdout=subprocess.DEVNULL, text=True)
        try:
            wait(head, Path(folder, "ray", "ray_current_cluster").exists)
            in_a_process([sys.executable, str(ROOT / "train.py"), *arguments], tmp_path, **own)
        finally:
            head.terminate()
            head.wait(60)
    assert list(tmp_path.rglob("metrics.json"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_job_of_an_array_runs(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)):
        here = tmp_path / str(number)
        here.mkdir()
        python = (
            f'python() {{ shift; {shlex.quote(sys.executable)} {ROOT}/train.py "$@" {" ".join(SHORT)} latent_dim=4; }}'
        )
        in_a_process(["bash", "-e", "-c", f"{python}\n{block}"], here, SLURM_ARRAY_TASK_ID="1")
        assert len(list(here.rglob("metrics.json"))) == 8


@pytest.mark.slow
@pytest.mark.parametrize("command", [each for each in of("python train.py") if "--config-dir" in each])
def test_a_penalty_outside_of_partae_trains_and_is_evaluated(command: str, tmp_path: Path) -> None:
    code = re.search(r"```python\n(class.*?)```", README, re.DOTALL)
    config = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert code is not None
    assert config is not None
    imports = (
        "import torch\nfrom torch import Tensor\nfrom partae.checks import real\nfrom partae.printed import Printed\n"
    )
    (tmp_path / "my_package.py").write_text(imports + code[1])
    (tmp_path / "settings" / "sparsity").mkdir(parents=True)
    own = config[1].replace("partae.sparsity.", "my_package.")
    (tmp_path / "settings" / "sparsity" / "entropy.yaml").write_text(own)
    in_a_process([sys.executable, str(ROOT / "train.py"), *typed(command), *SHORT, "hydra.run.dir=run"], tmp_path)
    in_a_process([sys.executable, str(ROOT / "evaluate.py"), "ckpt=run"], tmp_path)
    assert (tmp_path / "run" / "evaluation" / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("script", ["soak --valid 3 --invalid 3 --seed 1", "mutation --most 2 --modules metrics.parts"])
def test_the_checks_that_take_long_run(script: str) -> None:
    module, *options = script.split()
    assert any(f"tests.{module}" in each for each in of("python -m tests."))
    in_a_process([sys.executable, "-m", f"tests.{module}", *options], ROOT)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of a run and of a sweep."""
    here = tmp_path_factory.mktemp("here")
    for arguments in (["hydra.run.dir=run"], ["-m", "seed=0,1", "hydra.sweep.dir=sweep"]):
        assert type_in("train.py", [*arguments, *SHORT], here).status == 0
    return here / "run", here / "sweep"


@pytest.mark.slow
@pytest.mark.parametrize("command", [each for each in of("python train.py") if "resume=" in each])
def test_what_is_typed_to_go_on_goes_on(command: str, tmp_path: Path) -> None:
    assert type_in("train.py", ["hydra.run.dir=run", *SHORT], tmp_path).status == 0
    (tmp_path / "run" / "metrics.json").unlink()
    outcome = type_in("train.py", typed(command, run=Path("run")), tmp_path)
    assert outcome.status == 0, outcome.err
    assert (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", of("python evaluate.py"))
def test_what_is_typed_to_evaluate_evaluates(command: str, trained: tuple[Path, Path], tmp_path: Path) -> None:
    # a folder with a name of its own stands for any run
    ckpt = re.sub(r"ckpt=outputs/\S+", "ckpt=<run folder>", command)
    arguments = [argument for argument in typed(ckpt, *trained) if not argument.startswith("data")]
    outcome = type_in("evaluate.py", [*arguments, "data=bars"], tmp_path)
    assert outcome.status == 0, outcome.err


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_that_loads_a_model_runs(
    page: Path, trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        if "partae.load" in block:
            code = re.sub(r'partae\.load\("[^"]*"\)', f'partae.load("{trained[0]}")', block)
            exec(compile(code, str(page), "exec"), {"images": torch.rand(2, 1, 8, 8)})


@pytest.mark.slow
def test_images_in_python_are_what_a_model_takes() -> None:
    blocks = re.findall(
        r"```python\n(from partae.data.*?)```", (ROOT / "docs" / "quickstart.md").read_text(), re.DOTALL
    )
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "quickstart.md", "exec"), names)
    assert names["images"].shape == (8, 1, 28, 28)
    assert names["images"].is_floating_point()
    assert 0.9 < names["images"].max() <= 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("command", of("eval"))
def test_tab_completes_in_bash(command: str) -> None:
    words = "python train.py sparsity="
    press = f'COMP_LINE="{words}" COMP_POINT={len(words)}; COMP_WORDS=({words}); COMP_CWORD=2; hydra_bash_completion'
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    line = ["bash", "-c", f'{command}\n{press}\nprintf "%s\\n" "${{COMPREPLY[@]}}"']
    printed = subprocess.run(line, cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True).stdout
    assert set(printed.split()) == {f"sparsity={file.stem}" for file in (ROOT / "conf" / "sparsity").glob("*.yaml")}


@pytest.mark.slow
@pytest.mark.parametrize("command", of("tensorboard"))
def test_what_is_typed_to_look_finds_events(command: str, trained: tuple[Path, Path]) -> None:
    options = [str(trained[0]) if option == "outputs" else option for option in shlex.split(command)[1:]]
    inspected = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tensorboard.main", "--inspect", *options],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "val/loss" in inspected.stdout


@pytest.mark.parametrize("command", of("make "))
def test_what_is_typed_to_make_can_be_made(command: str) -> None:
    made = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


BRIEFLY = {  # what the command behind it is given besides
    "train": SHORT,
    "soak": ["--valid=3", "--invalid=3", "--seed=1"],
    "mutation": ["--most=2", "--modules", "metrics.parts"],
}
OTHERS = {".venv", ".git", "data", "outputs"}  # folders that are no part of the project


def copied(folder: Path) -> Path:
    return shutil.copytree(ROOT, folder, ignore=lambda inside, _: OTHERS if Path(inside) == ROOT else ())


@pytest.mark.slow
@pytest.mark.parametrize("command", of("make "))
def test_what_is_typed_to_make_is_made(command: str, tmp_path: Path) -> None:
    _, target = shlex.split(command)
    here = copied(tmp_path / "partae")
    tools = here / ".venv" / "bin"
    tools.mkdir(parents=True)
    for tool in Path(sys.executable).parent.iterdir():
        (tools / tool.name).symlink_to(tool)
    (tools / "python").unlink()
    (tools / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@" {shlex.join(BRIEFLY.get(target, []))}\n')
    (tools / "python").chmod(0o755)
    (here / ".venv" / "installed").touch()
    collecting = {} if target in BRIEFLY else {"PYTEST_ADDOPTS": "--collect-only"}
    printed = in_a_process(shlex.split(command), here, **collecting)
    expected = {"train": "evaluate.py ckpt=outputs/", "soak": "3 invalid, ", "mutation": "2 of 2", "test": "collected"}
    assert expected.get(target, "") in printed


@pytest.mark.slow
@pytest.mark.parametrize("command", of("pip install "))
def test_what_is_typed_to_install_finds_its_packages(command: str, tmp_path: Path) -> None:
    # those that are installed already, for want of a network
    offline = ["--no-index", "--no-build-isolation", "--dry-run"]
    install = [sys.executable, "-m", *shlex.split(command), *offline]
    assert "Would install partae-" in in_a_process(install, copied(tmp_path / "partae"))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"\[(.*)\]", command)) <= set(extras)  # pip passes over others with a warning


BRIEF: dict[str, dict[str, Any]] = {
    "epoch": {"EPOCHS": 1, "ROUNDS": 1},
    "stack": {"COUNTS": (1, 2), "TURNS": 1, "STEPS": 2},
    "projection": {"VECTORS": 200},
    "approximation": {"ROUNDS": 1, "RADII": (1,)},
    "streaming": {"TIMES": 1},
}


@pytest.mark.slow
@pytest.mark.parametrize("command", of("python benchmarks/"))
def test_what_is_typed_to_measure_speed_prints_it(command: str, tmp_path: Path) -> None:
    _, name, *arguments = shlex.split(command)
    script = ROOT / name
    arguments = [re.sub("models=.*", "models=2", argument) for argument in arguments]
    if not torch.cuda.is_available():
        arguments = [argument for argument in arguments if argument != "trainer.accelerator=gpu"]
    arguments += ["--batches", "30"] if script.stem == "streaming" else []
    brief = BRIEF[script.stem]
    briefly = (
        f"import runpy, sys; sys.path.insert(0, {str(script.parent)!r}); sys.argv = {[name, *arguments]}; "
        f"names = (main := runpy.run_path({str(script)!r})['main']).__globals__; "
        f"assert {set(brief)} <= names.keys(); names.update({brief}); main()"
    )
    printed = in_a_process([sys.executable, "-c", briefly], tmp_path)
    assert re.search(r"\d\.\d\d", printed)


def test_the_penalty_in_the_readme_works() -> None:
    code = re.search(r"```python\n(class.*?)```", README, re.DOTALL)
    config = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert code is not None
    assert config is not None
    imports = "from __future__ import annotations\nimport torch\nfrom torch import Tensor, nn\n"
    names: dict[str, type[torch.nn.Module]] = {}
    imports += "from partae.checks import real\nfrom partae.printed import Printed\n"
    exec(compile(f"{imports}{code[1]}", "README.md", "exec"), names)
    arguments = yaml.safe_load(config[1])
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


def test_l1_takes_coefficients_away_and_l2_does_not() -> None:
    paths = runpy.run_path(str(ROOT / "docs" / "figures.py"))["shrinkage"]()
    (_, l1), (_, l2) = paths.values()
    assert (l1[0] > 0).sum() == (l2[0] > 0).sum()
    assert (l1[-1] > 0).sum() == 0
    assert (l2[-1] > 0).sum() > (l2[0] > 0).sum()


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "docs", str(tmp_path)]
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


@pytest.mark.slow
def test_the_commands_of_the_page_on_data_run(tmp_path: Path, images_of_odd_sizes: Path, some_arrays: Path) -> None:
    images_of_odd_sizes.rename(tmp_path / "photos")
    text = (ROOT / "docs" / "data.md").read_text()
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    lines = [line for line in lines if "mnist" not in line]  # not to be had here
    assert len(lines) >= 5
    for number, line in enumerate(lines):
        _, script, *overrides = shlex.split(line.replace("<run folder>", "run"))
        if script == "train.py":
            run = "run" if "data.source.root=outputs/digits.npz" in overrides else f"other_{number}"
            overrides += ["trainer.max_epochs=1", f"hydra.run.dir={run}"]
        in_a_process([sys.executable, str(ROOT / script), *overrides], tmp_path)
    assert (tmp_path / "run" / "evaluation" / "metrics.json").exists()
