"""One clear message in place of a traceback, where the user can mend an error."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
import yaml
from hydra.errors import ConfigCompositionException, HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from partae.checks import InputError, suggest

FULL_ERROR = "HYDRA_FULL_ERROR"  # with this variable, Hydra raises every error; without, it prints some and exits
OF_ARGUMENTS = (ImportError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError, MemoryError)
FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Stop(SystemExit):
    """Ends the program with a message. Hydra does not catch it, so it prints no overrides first."""


@contextmanager
def stop_on_error(folder: Path | None = None) -> Iterator[None]:
    """Turn an error in the block that the user can mend into `Stop` with its message.

    Args:
        folder: where the block writes.
    """
    try:
        yield
    except Exception as error:
        if message := explain(error, folder):
            raise Stop(message) from error
        raise


def run(main: Callable[[], object], expand: Callable[[list[str]], list[str]] = list) -> None:
    """Run a script's ``main``, which Hydra has wrapped; an error that the user can mend ends it with one message.

    With HYDRA_FULL_ERROR=1 in the environment, the error comes with its traceback. A character that the terminal's
    encoding lacks is printed as its code.

    Args:
        main: of the script.
        expand: gives the command line that the typed one stands for.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as Python does for stderr
    typed = sys.argv[1:]
    with_traceback = os.environ.get(FULL_ERROR) == "1"
    os.environ[FULL_ERROR] = "1"
    try:
        sys.argv[1:] = expand(typed)
        main()
    except BrokenPipeError as error:
        if with_traceback:
            raise
        with Path(os.devnull).open("wb") as nothing:  # takes what is still to be printed
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        print(f"Stopped, since nothing reads the output any more ({error.strerror}).", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        if with_traceback:
            raise
        print("\nInterrupted.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except (Exception, Stop) as error:
        if with_traceback:
            if isinstance(error, Stop) and error.__cause__:
                raise error.__cause__ from None
            raise
        message = str(error) if isinstance(error, Stop) else explain(error)
        if not message and isinstance(error, ValueError) and _is_raised_by_hydra(error):  # for a group set to null
            message = f"{error}, in: {' '.join(typed)}"
        if not message:
            raise
        print(f"{message}\n\nSet the environment variable {FULL_ERROR}=1 for a traceback.", file=sys.stderr)
        sys.exit(1)
    finally:
        if not with_traceback:
            del os.environ[FULL_ERROR]


def _is_raised_by_hydra(error: Exception) -> bool:
    *_, last = traceback.extract_tb(error.__traceback__)
    return Path(last.filename).is_relative_to(Path(hydra.__file__).parent)


def explain(error: Exception, folder: Path | None = None) -> str:
    """The message for a user who can mend ``error``; empty if it is a fault of the program.

    Args:
        error: any error.
        folder: where the program writes, to be named if a disk is full and the error does not say which.
    """
    if isinstance(error, OSError) and not isinstance(error, HydraException):
        return _explain_file(error, folder)
    if isinstance(error, yaml.YAMLError):
        return f"a file of settings is not YAML: {' '.join(str(error).split())}"
    if type(error) is ValueError and str(error).startswith("No trials are completed"):  # of Optuna
        return "no job of the search has finished: there is no best one"
    if not isinstance(error, (InputError, HydraException, OmegaConfBaseException, *_of_libraries())):
        return ""
    for cause in _causes(error):
        if isinstance(cause, MissingMandatoryValue):
            return f"{cause.full_key} is missing: give it as {cause.full_key}=<value>"
        if isinstance(cause, InputError):
            return str(cause)
        if isinstance(error, ConfigCompositionException) and isinstance(cause, ConfigAttributeError | ConfigKeyError):
            return _unknown_key(cause, str(error))
    if isinstance(error, MissingConfigException) and "/" in (error.missing_cfg_file or ""):
        return _unknown_choice(error)
    reason = error.__cause__
    if isinstance(error, ConfigCompositionException) and isinstance(reason, OmegaConfBaseException):
        return f"{error}\n{reason}"
    if isinstance(error, InstantiationException) and reason is not None:
        return _explain_call(error, reason)
    return str(error)


def _explain_file(error: OSError, folder: Path | None) -> str:
    is_full = error.errno in FULL_DISK
    if error.filename is not None:
        place = f"{error.filename} (in {Path(error.filename).parent})"
    elif is_full and folder:
        place = str(folder)
    else:
        return ""
    return f"{error.strerror}: {place}; {'free some space there, or name' if is_full else 'name'} another folder"


def _explain_call(error: InstantiationException, cause: BaseException) -> str:
    """Why Hydra could not build a class: usually the first line of ``cause``."""
    if not isinstance(cause, OF_ARGUMENTS + _of_libraries()):
        return ""
    first, *others = str(error).splitlines()
    keys = [line.removeprefix("full_key: ") for line in others if line.startswith("full_key: ")]
    lines = str(cause).splitlines() or [type(cause).__name__]
    reason = " ".join((lines[0], lines[-1]) if lines[0].endswith(":") else lines[:1])
    if keys and (unexpected := re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", reason)):
        kind, argument = unexpected.groups()
        is_own = re.match(r"model\.(estimator|top)\b", keys[-1])  # what else is under model refers to a group
        group = keys[-1] if is_own else keys[-1].removeprefix("model.")
        left_out = f"if an experiment sets it, leave it out by ~{group}.{argument}"
        return f"{group} is {kind}, which takes no {argument}; {left_out}"
    return f"{first} {reason}" + (f" (in {keys[-1]})" if keys else "")


def _of_libraries() -> tuple[type[Exception], ...]:
    """The errors of Lightning and Weights & Biases that a user can mend, if these are loaded."""
    names = (("lightning_fabric.utilities.exceptions", "MisconfigurationException"), ("wandb.errors", "UsageError"))
    return tuple(getattr(sys.modules[module], name) for module, name in names if module in sys.modules)


def _unknown_key(error: ConfigAttributeError | ConfigKeyError, advice: str) -> str:
    """List the keys that exist beside an unknown one, and say how to add another argument."""
    parent = error.parent_node
    if not isinstance(parent, DictConfig) or not error.full_key:
        return f"{advice}\n{error}"
    group = error.full_key.rpartition(".")[0]
    keys = sorted(str(key) for key in parent if key not in ("_target_", "hydra"))
    if keys:
        added = re.search(r"\+\S+", advice) if "_target_" in parent else None
        what = f"{f'{group} has' if group else 'there are'} {', '.join(keys)}"
        what += f"; if its class takes another argument, add it by {added[0]}" if added else ""
    elif "_target_" in parent:
        kind = str(parent["_target_"]).rpartition(".")[2]
        what = f"{group} is {kind}, which takes no arguments" + ("" if "." in group else f": choose another {group}")
    else:
        what = f"{group} has no keys"
    key = error.full_key.rpartition(".")[2]
    config = OmegaConf.to_container(parent._get_root(), resolve=False)
    elsewhere = " or ".join(path for path in _paths(config) if f".{path}".endswith(f".{key}"))
    hint = suggest(key, keys) or (f". Did you mean {elsewhere}?" if elsewhere else "")
    return f"there is no {error.full_key}: {what}{hint}"


def _paths(config: object, group: str = "") -> Iterator[str]:
    """Each key of a config as it is typed, but for Hydra's own."""
    for key, value in config.items() if isinstance(config, dict) else ():
        if key != "hydra":
            yield f"{group}{key}"
            yield from _paths(value, f"{group}{key}.")


def _unknown_choice(error: MissingConfigException) -> str:
    """List the choices of a group beside an unknown one, and the nearest."""
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    folders = [Path(place, group) for place in re.findall(r"path=file://(.*)", str(error))]
    # of a list of choices, Hydra says where it looked only
    known = error.options or sorted(file.stem for folder in folders for file in folder.glob("*.yaml"))
    hint = suggest(choice, known) or ". For settings of your own, name their folder by --config-dir"
    choices = f": {group} is one of {', '.join(known)}" if known else ""
    return f"there is no {group}={choice}{choices}{hint}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes, the last one first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
