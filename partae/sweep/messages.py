"""One clear message where a traceback would only frighten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import CompactHydraException, InstantiationException
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import MissingMandatoryValue

from partae.checks import InputError


@contextmanager
def explained() -> Iterator[None]:
    """Turn what a user can mend into an error that Hydra prints as one message, with exit status 1."""
    try:
        yield
    except MissingMandatoryValue as error:
        key = error.full_key
        raise CompactHydraException(f"error: {key} is missing: give it as {key}=<value>") from error
    except InputError as error:
        raise CompactHydraException(f"error: {error}") from error
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, InputError):
            raise CompactHydraException(f"error: {cause}") from error
        if isinstance(cause, MisconfigurationException | TypeError | ValueError):
            raise CompactHydraException(f"error: {str(error).splitlines()[0]} {cause}") from error
        raise
