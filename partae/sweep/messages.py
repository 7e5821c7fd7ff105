"""One clear message where a traceback would only frighten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import CompactHydraException, InstantiationException
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import MissingMandatoryValue
from omegaconf.errors import InterpolationResolutionError

from partae.checks import InputError


@contextmanager
def explained() -> Iterator[None]:
    """Turn what a user can mend into an error that Hydra prints as one message, with exit status 1."""
    try:
        yield
    except (InputError, MissingMandatoryValue, InstantiationException, InterpolationResolutionError) as error:
        for cause in _causes(error):
            if isinstance(cause, MissingMandatoryValue):
                key = cause.full_key
                raise CompactHydraException(f"error: {key} is missing: give it as {key}=<value>") from None
            if isinstance(cause, InputError):
                raise CompactHydraException(f"error: {cause}") from cause
        led_by = error.__cause__
        if isinstance(led_by, MisconfigurationException | TypeError | ValueError):
            raise CompactHydraException(f"error: {str(error).splitlines()[0]} {led_by}") from error
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it, last first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
