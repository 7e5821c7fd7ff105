"""Ctrl-C and SIGTERM end a process in order: what is open is closed, and its exit status names the signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STATUSES = tuple(128 + number for number in SIGNALS)
DEFAULT = (signal.SIG_DFL, signal.default_int_handler)


def end_in_order() -> None:
    """From now on, Ctrl-C and SIGTERM raise SystemExit with 128 + the signal's number, as a shell would report it.

    Whoever took care of a signal already, as a cluster's launcher does, keeps it; so does any thread but the main one.
    """
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) in DEFAULT:
                signal.signal(number, _stop)


@contextmanager
def saying(line: str) -> Iterator[None]:
    """Print ``line`` if the block is ended by Ctrl-C or SIGTERM."""
    try:
        yield
    except SystemExit as end:
        if end.code in STATUSES:
            print(f"\n{line}", flush=True)
        raise


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C in a block that trains by Lightning raise KeyboardInterrupt in the user's program, and again later.

    Lightning has it ignored from then on, which only the main thread may ask for, and exits.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except (SystemExit, ValueError) as end:
        interrupt = end.__context__
        if not isinstance(interrupt, KeyboardInterrupt):
            raise
        if threading.current_thread() is threading.main_thread() and handler is not None:  # None: not of Python's
            signal.signal(signal.SIGINT, handler)
        raise interrupt from None


def _stop(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
