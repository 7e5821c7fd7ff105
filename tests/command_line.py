"""Runs a script as a user types it, in this process."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import runpy
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Outcome(NamedTuple):
    """Exit status and printed text."""

    status: int
    out: str
    err: str


@contextlib.contextmanager
def _alone(folder: Path, arguments: list[str]) -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """The arguments, folder, streams and loggers of a process of its own."""
    here, typed = Path.cwd(), sys.argv
    os.chdir(folder)
    sys.argv = arguments
    out, err = io.StringIO(), io.StringIO()
    root = logging.getLogger()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            yield out, err
    finally:
        root.handlers.clear()
        sys.argv = typed
        os.chdir(here)


def type_in(script: str, arguments: Sequence[str], folder: Path) -> Outcome:
    """Run a script of the project in ``folder``, in this process."""
    with _alone(folder, [script, *arguments]) as (out, err):
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # a user would see a traceback
            status = 1
            traceback.print_exc(file=err)
    return Outcome(status, out.getvalue(), err.getvalue())
