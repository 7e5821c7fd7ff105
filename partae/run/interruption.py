"""Ctrl-C and SIGTERM end a process cleanly: open files are closed, and the exit status names the signal."""

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

    A signal that has a handler already, as a cluster's launcher sets one, keeps it. Only the main thread can set a
    handler: in others, nothing happens.
    """
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) in DEFAULT:
                signal.signal(number, _stop)


@contextmanager
def print_if_interrupted(line: str) -> Iterator[None]:
    """Print ``line`` if Ctrl-C or SIGTERM ends the block."""
    try:
        yield
    except SystemExit as end:
        if end.code in STATUSES:
            print(f"\n{line}", flush=True)
        raise


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C in a block that trains by Lightning raise KeyboardInterrupt in the user's program.

    Lightning exits instead, and ignores Ctrl-C from then on; its handler can be set in the main thread only.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except (SystemExit, ValueError) as end:
        interrupt = end.__context__
        if not isinstance(interrupt, KeyboardInterrupt):
            raise
        if threading.current_thread() is threading.main_thread() and handler is not None:  # None: not set by Python
            signal.signal(signal.SIGINT, handler)
        raise interrupt from None


def _stop(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
