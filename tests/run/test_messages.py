from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.errors import CompactHydraException, InstantiationException
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from partae.checks import InputError
from partae.run.messages import FULL_ERROR, explained, run
from tests.command_line import ROOT


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


def instantiation(cause: Exception) -> InstantiationException:
    error = InstantiationException("Error in call to target 'partae.sparsity.KL':\nmore\nfull_key: sparsity")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InputError("latent_dim must be 3"), "error: latent_dim must be 3"),
        (MisconfigurationException("no such accelerator"), "error: no such accelerator"),
        (
            OSError(errno.ENOSPC, "No space left on device", "run/metrics.json"),
            "metrics.json (in run); free some space",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "run/metrics.json"), "(in run); name another folder"),
        (instantiation(InputError("sparsity.p must be 3")), "error: sparsity.p must be 3"),
        (instantiation(TypeError("betta is unknown")), "KL': betta is unknown (in sparsity)"),
        (instantiation(ImportError("no Nothing there")), "no Nothing there"),
        (OmegaConfBaseException("what"), "error: what"),
    ],
)
def test_what_a_user_can_mend_is_one_message(error: Exception, words: str) -> None:
    with pytest.raises(CompactHydraException) as message, explained():
        raise error
    assert words in str(message.value)


@pytest.mark.parametrize("error", [ZeroDivisionError(), ValueError("ours"), OSError("odd"), instantiation(KeyError())])
def test_a_fault_of_ours_is_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, explained():
        raise error
    assert raised.value is error


def test_a_full_disk_that_nobody_names_is_that_of_the_run() -> None:
    with (
        pytest.raises(CompactHydraException, match=r"No space left.* \(in run\); free some space"),
        explained(Path("run")),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_missing_value_is_named() -> None:
    with pytest.raises(CompactHydraException, match=r"error: a\.b is missing: give it as a\.b=<value>"), explained():
        OmegaConf.create({"a": {"b": "???"}}).a.b  # noqa: B018


def test_a_job_that_runs_alone_ends_with_the_message_and_no_word_of_hydras(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def main() -> None:
        with explained(alone=True):
            raise InputError("wrong")

    with pytest.raises(SystemExit) as end:
        run(main)
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("wrong\n\nSet the environment variable")
    monkeypatch.setenv(FULL_ERROR, "1")
    with pytest.raises(InputError, match="wrong"):
        run(main)


def test_a_message_shows_the_line_that_was_typed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "ckpt=run", "data=null"])
    with pytest.raises(SystemExit):
        run(raising(ValueError("wrong")), lambda typed: ["++data.val_size=3", *typed])
    assert capsys.readouterr().err.startswith("wrong, in: ckpt=run data=null\n")
    assert sys.argv[1:] == ["++data.val_size=3", "ckpt=run", "data=null"]


@pytest.mark.parametrize("error", [CompactHydraException("wrong"), ValueError("wrong"), InputError("wrong")])
def test_before_the_job_too(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "sparsity=null"])
    with pytest.raises(SystemExit) as end:
        run(raising(error))
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith(("wrong\n", "wrong, in: sparsity=null\n"))
    assert FULL_ERROR not in os.environ


def test_with_full_errors_nothing_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FULL_ERROR, "1")
    with pytest.raises(InputError):
        run(raising(InputError("wrong")))
    assert os.environ[FULL_ERROR] == "1"


def test_a_job_of_ours_that_fails_keeps_its_traceback() -> None:
    def run_job() -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        run(run_job)
    with pytest.raises(ZeroDivisionError):
        run(raising(ZeroDivisionError()))


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
from partae.run import folder as jobs
from partae.run.messages import run
folder = Path(sys.argv[1])
jobs.fail(folder, InputError("\\u00c1lbum/\\u65e5\\u672c does not exist"))
run(lambda: print(jobs.failure(folder)))
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
