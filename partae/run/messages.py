"""One clear message where a traceback would only frighten."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from hydra.errors import CompactHydraException, ConfigCompositionException, HydraException, InstantiationException
from omegaconf import DictConfig, MissingMandatoryValue
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from partae.checks import InputError

FULL_ERROR = "HYDRA_FULL_ERROR"  # the variable by which Hydra hands errors on, instead of printing some of them
OF_ARGUMENTS = (
    ImportError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
    OverflowError,
    MemoryError,
)
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Told(SystemExit):
    """Ends a job that runs alone with a message, past Hydra, which would print all overrides: those of partae, too."""


@contextmanager
def explained(folder: Path | None = None, *, alone: bool = False) -> Iterator[None]:
    """Turn what a user can mend into an error of one message, that of a `CompactHydraException`.

    Args:
        folder: in which the block writes, to be named where a full disk was met by somebody who does not say where.
        alone: whether that ends the process, with exit status 1, by `Told` instead.
    """
    try:
        yield
    except Exception as error:
        if folder and isinstance(error, OSError) and error.errno in FULL_DISK and error.filename is None:
            error.filename = str(folder / "events")
        if message := _message(error):
            raise Told(message) if alone else CompactHydraException(f"error: {message}") from error
        raise


def run(main: Callable[[], object], meant: Callable[[list[str]], list[str]] = list) -> None:
    """Run a script's ``main``, which Hydra has wrapped: what stops it before its job begins is one message too.

    Args:
        main: the script's.
        meant: the command line that the typed one stands for; messages show the typed one.

    With HYDRA_FULL_ERROR=1 in the environment everything comes with its traceback. A character that the terminal's
    encoding lacks is printed as its code.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as Python has it for stderr
    typed = sys.argv[1:]
    sys.argv[1:] = meant(typed)
    if os.environ.get(FULL_ERROR) == "1":
        try:
            main()
        except Told as told:
            raise told.__cause__ or told from None
        return
    os.environ[FULL_ERROR] = "1"
    try:
        main()
    except Told as told:
        _end(str(told))
    except Exception as error:
        within_job = any(frame.name == "run_job" for frame in traceback.extract_tb(error.__traceback__))
        message = _message(error)
        if not message and isinstance(error, ValueError) and not within_job:  # Hydra's own, of a group set to null
            message = f"{error}, in: {' '.join(typed)}"
        if not message:
            raise
        is_told = within_job or message != str(error) or not isinstance(error.__cause__, OmegaConfBaseException)
        cause = "" if is_told else f"\n{error.__cause__}"  # of what cannot be composed
        _end(f"{message}{cause}")
    finally:
        del os.environ[FULL_ERROR]


def _end(message: str) -> NoReturn:
    print(f"{message}\n\nSet the environment variable {FULL_ERROR}=1 for a traceback.", file=sys.stderr)
    sys.exit(1)


def _message(error: Exception) -> str:
    """What a user is told of ``error``; nothing if it is a fault of ours."""
    if isinstance(error, OSError) and error.filename is not None:
        mend = "free some space there, or name" if error.errno in FULL_DISK else "name"
        return f"{error.strerror}: {error.filename} (in {Path(error.filename).parent}); {mend} another folder"
    if not isinstance(error, (InputError, HydraException, OmegaConfBaseException, *_misconfiguration())):
        return ""
    for cause in _causes(error):
        if isinstance(cause, MissingMandatoryValue):
            return f"{cause.full_key} is missing: give it as {cause.full_key}=<value>"
        if isinstance(cause, InputError):
            return str(cause)
        if isinstance(error, ConfigCompositionException) and isinstance(cause, ConfigAttributeError | ConfigKeyError):
            return _unknown_key(cause, str(error))
    led_by = error.__cause__
    if not isinstance(error, InstantiationException) or led_by is None:
        return str(error)
    if not isinstance(led_by, OF_ARGUMENTS + _misconfiguration()):
        return ""
    first, *others = str(error).splitlines()
    keys = [line.removeprefix("full_key: ") for line in others if line.startswith("full_key: ")]
    lines = str(led_by).splitlines() or [type(led_by).__name__]
    reason = " ".join((lines[0], lines[-1]) if lines[0].endswith(":") else lines[:1])
    return f"{first} {reason}" + (f" (in {keys[-1]})" if keys else "")


def _misconfiguration() -> tuple[type[Exception], ...]:
    """Lightning's error, once Lightning is loaded: a mistyped key is explained without it."""
    module = sys.modules.get("lightning_fabric.utilities.exceptions")
    return (module.MisconfigurationException,) if module else ()


def _unknown_key(error: ConfigAttributeError | ConfigKeyError, advice: str) -> str:
    """What a user is told of a key that is not there: those that are, and how a class takes an argument beside them."""
    parent = error.parent_node
    if not isinstance(parent, DictConfig) or not error.full_key:
        return f"{advice}\n{error}"
    group = error.full_key.rpartition(".")[0]
    keys = sorted(str(key) for key in parent if key not in ("_target_", "hydra"))
    if not keys:
        kind = str(parent.get("_target_", "")).rpartition(".")[2]
        mend = "" if "." in group else f": choose another {group}"
        what = f"is {kind}, which takes no arguments{mend}" if kind else "has no keys"
        return f"there is no {error.full_key}: {group} {what}"
    added = re.search(r"\+\S+", advice)
    beside = f"; if its class takes another argument, add it by {added[0]}" if "_target_" in parent and added else ""
    return f"there is no {error.full_key}: {f'{group} has' if group else 'there are'} {', '.join(keys)}{beside}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it, last first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
