from __future__ import annotations

import errno
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from hydra.errors import CompactHydraException, InstantiationException
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from partae.checks import InputError
from partae.run.messages import FULL_ERROR, explain, run, stop_on_error
from tests.command_line import ROOT


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


def instantiation(cause: Exception, key: str = "sparsity") -> InstantiationException:
    error = InstantiationException(f"Error in call to target 'partae.sparsity.KL':\nmore\nfull_key: {key}")
    error.__cause__ = cause
    return error


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InputError("latent_dim must be 3"), "latent_dim must be 3"),
        (MisconfigurationException("no such accelerator"), "no such accelerator"),
        (OSError(errno.ENOSPC, "Disk full", "run/metrics.json"), "metrics.json (in run); free some space there, or"),
        (PermissionError(errno.EACCES, "Denied", "run/metrics.json"), "(in run); name another folder"),
        (FULL, "No space left on device: its/folder; free some space"),
        (instantiation(InputError("sparsity.p must be 3")), "sparsity.p must be 3"),
        (instantiation(TypeError("betta is unknown")), "KL': betta is unknown (in sparsity)"),
        (
            instantiation(TypeError("KL.__init__() got an unexpected keyword argument 'betta'"), "model.sparsity"),
            "sparsity is KL, which takes no betta; if an experiment sets it, leave it out by ~sparsity.betta",
        ),
        (
            instantiation(TypeError("PCA.__init__() got an unexpected keyword argument 'max_iter'"), "model.estimator"),
            "model.estimator is PCA, which takes no max_iter; if an experiment sets it, leave it out by ~model.est",
        ),
        (instantiation(ImportError("no Nothing there")), "no Nothing there"),
        (OmegaConfBaseException("what"), "what"),
        (yaml.YAMLError("not allowed here\n  in settings/x.yaml"), "is not YAML: not allowed here in settings/x.yaml"),
        (ValueError("No trials are completed yet."), "no job of the search has finished"),
    ],
)
def test_what_a_user_can_mend_is_one_message(error: Exception, words: str) -> None:
    assert words in explain(error, Path("its/folder"))


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), ValueError("ours"), OSError("odd"), FULL, instantiation(KeyError())]
)
def test_a_fault_of_the_program_is_not_hidden(error: Exception) -> None:
    assert not explain(error)
    with pytest.raises(type(error)) as raised, stop_on_error():
        raise error
    assert raised.value is error
    with pytest.raises(type(error)):
        run(raising(error))


def test_a_missing_value_is_named() -> None:
    with pytest.raises(OmegaConfBaseException) as error:
        OmegaConf.create({"a": {"b": "???"}}).a.b  # noqa: B018
    assert explain(error.value) == "a.b is missing: give it as a.b=<value>"


def test_ctrl_c_ends_a_program_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(raising(KeyboardInterrupt()))
    assert end.value.code == 130
    assert capsys.readouterr().err == "\nInterrupted.\n"


def test_weights_and_biases_without_a_key_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    error = type("UsageError", (Exception,), {})
    assert not explain(error("No API key"))
    monkeypatch.setitem(sys.modules, "wandb.errors", cast("Any", SimpleNamespace(UsageError=error)))
    assert explain(error("No API key")) == "No API key"


@pytest.mark.parametrize("is_in_job", [False, True])
def test_a_program_ends_with_one_message_or_with_the_traceback_that_is_asked_for(
    is_in_job: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def main() -> None:
        if not is_in_job:
            raise CompactHydraException("wrong")
        with stop_on_error():
            raise InputError("wrong")

    with pytest.raises(SystemExit) as end:
        run(main)
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("wrong\n\nSet the environment variable")
    assert FULL_ERROR not in os.environ
    monkeypatch.setenv(FULL_ERROR, "1")
    with pytest.raises(InputError if is_in_job else CompactHydraException, match="wrong"):
        run(main)
    assert os.environ[FULL_ERROR] == "1"


def test_a_reader_that_has_read_enough_ends_it_without_a_traceback(tmp_path: Path) -> None:
    command = shlex.join([sys.executable, str(ROOT / "train.py"), "--help"])
    piped = f"set -o pipefail; {command} | true"
    done = subprocess.run(["bash", "-c", piped], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Stopped, since nothing reads the output any more (Broken pipe).\n"


def test_a_command_line_that_stands_for_no_other_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    def expand(typed: list[str]) -> list[str]:
        raise InputError(f"{typed} has no run")

    with pytest.raises(SystemExit):
        run(raising(ZeroDivisionError()), expand)
    assert "has no run\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    "locale",
    [
        pytest.param({"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, id="POSIX"),
        pytest.param({"PYTHONIOENCODING": "cp1252"}, id="cp1252", marks=pytest.mark.slow),
    ],
)
def test_what_a_terminal_cannot_show_ends_no_run(locale: dict[str, str], tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from partae.checks import InputError
from partae.run.run_folder import fail, failure
from partae.run.messages import run
folder = Path(sys.argv[1])
fail(folder, InputError("\\u00c1lbum/\\u65e5\\u672c does not exist"))
run(lambda: print(failure(folder)))
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
    printed = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**environment, **locale, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    ).stdout
    assert printed.endswith(rb"\u65e5\u672c does not exist" + os.linesep.encode())
    assert (tmp_path / "error.txt").read_bytes() == "Álbum/日本 does not exist\n".encode()


def test_a_machine_of_a_ray_cluster_that_does_not_see_the_folder_is_named(tmp_path: Path) -> None:
    launcher = pytest.importorskip("hydra_plugins.partae_ray_launcher")
    with pytest.raises(InputError, match=rf"{tmp_path / 'here'} is not a folder of {platform.node()}.*all of them see"):
        launcher._run(tmp_path / "here", *4 * [None])
