from __future__ import annotations

import ast
import errno
import json
import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch

from partae import AutoEncoder, figures
from partae.checks import InputError
from partae.decoder import Dictionary
from partae.encoder import Dense
from partae.files import replacing, run_folder, write_bytes, write_json
from partae.saving.checkpoints import WholeCheckpoints
from partae.saving.exporting import export
from partae.sweep.rows import write_csv
from tests.command_line import ROOT

Writer = Callable[[Path], object]
MODEL = AutoEncoder(Dense((1, 2, 2), 3), Dictionary((1, 2, 2), 3))

# everything of ours that writes a file of a run, and the file that it writes
WRITERS: dict[str, tuple[str, Writer]] = {
    "bytes": ("file", lambda path: write_bytes(path, b"new" * 100)),
    "json": ("metrics.json", lambda path: write_json(path, {"test/error": 0.5})),
    "csv": ("sweep.csv", lambda path: write_csv(path, [{"sparsity.beta": "0.1", "status": "finished"}])),
    "checkpoint": (
        "last.ckpt",
        lambda path: WholeCheckpoints().save_checkpoint({"state_dict": {"atoms": torch.ones(400)}}, path),
    ),
    "safetensors": ("model.safetensors", lambda path: export(MODEL, "safetensors", path.parent)),
    "figure": (
        "atoms.png",
        lambda path: figures.save(figures.atoms(np.ones((1, 1, 2, 2))), path.with_suffix("")),
    ),
}


def killed(write: Callable[[], object], moment: int) -> bool:
    """Whether a process of its own dies, without any cleaning up, before line ``moment`` of `partae.files`."""
    child = os.fork()
    if child == 0:
        lines = 0

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal lines
            if not frame.f_code.co_filename.endswith("partae/files.py"):
                return None
            lines += event == "line"
            if lines == moment:
                os._exit(9)
            return trace

        sys.settrace(trace)
        write()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """A disk on which a file may have ``size`` bytes: the kernel refuses the rest."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("name", "write"),
    [pytest.param(*WRITERS[kind], id=kind, marks=[pytest.mark.slow] * (kind == "figure")) for kind in WRITERS],
)
def test_a_kill_at_any_line_leaves_the_old_file_or_the_new_one(name: str, write: Writer, tmp_path: Path) -> None:
    whole = tmp_path / "whole" / name
    write(whole)
    new, seen, moment = whole.read_bytes(), set(), 1
    file = tmp_path / name
    while True:
        file.write_bytes(b"old")
        if not killed(lambda: write(file), moment):
            break
        seen.add(file.read_bytes())
        moment += 1
    assert moment > 8  # it was killed at all
    assert seen <= {b"old", new}
    assert b"old" in seen


@pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)
def test_a_full_disk_at_any_byte_leaves_the_old_file_alone(name: str, write: Writer, tmp_path: Path) -> None:
    write(tmp_path / "whole" / name)
    size = (tmp_path / "whole" / name).stat().st_size
    file = tmp_path / "run" / name
    file.parent.mkdir()
    file.write_bytes(b"old")
    for room in {0, 1, size // 2, size - 1}:
        with room_for(room), pytest.raises(OSError, match="run") as refusal:
            write(file)
        assert refusal.value.errno == errno.EFBIG
        assert file.read_bytes() == b"old"
        assert list(file.parent.iterdir()) == [file]


def test_a_full_disk_is_named_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}"):
        write_json(tmp_path / "metrics.json", {})
    assert not list(tmp_path.iterdir())


def test_a_file_is_written_with_its_folder(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "metrics.json", {"test/error": 0.5})
    assert json.loads((tmp_path / "new" / "metrics.json").read_text()) == {"test/error": 0.5}


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    file.write_text("old")

    def interrupted() -> None:
        with replacing(file) as beside:
            beside.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_json_cannot_hold_is_not_written(tmp_path: Path) -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(InputError, match=f"test/error is {value}, which JSON cannot hold"):
            write_json(tmp_path / "metrics.json", {"val/error": 0.0, "test/error": value})
    assert not list(tmp_path.iterdir())


def test_others_may_read_the_file_as_the_umask_says(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_json(tmp_path / "metrics.json", {})
    assert (tmp_path / "metrics.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def calls_without_encoding(source: str) -> list[str]:
    """The calls in a Python file that read or write text in the encoding of the locale."""
    calls = [ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    opens = [call for call in calls if re.match(r"(.*\.)?(open|fdopen|TextIOWrapper|read_text|write_text)\(", call)]
    return [call for call in opens if not re.search(r"encoding=|'[rwax]b\+?'|^Image\.open", call)]


def test_text_is_read_and_written_in_one_encoding_everywhere() -> None:
    assert calls_without_encoding("a.read_text()\nopen(a, 'rb')\na.open('w')") == ["a.read_text()", "a.open('w')"]
    files = [file for file in ROOT.rglob("*.py") if file.relative_to(ROOT).parts[0] not in ("tests", ".venv", "build")]
    assert len(files) > 50
    found = {file: calls_without_encoding(file.read_text(encoding="utf-8")) for file in files}
    assert {file: calls for file, calls in found.items() if calls} == {}


def test_run_folder_of_a_checkpoint() -> None:
    assert run_folder(Path("run/checkpoints/last.ckpt")) == run_folder(Path("run/lonely.ckpt")) == Path("run")
