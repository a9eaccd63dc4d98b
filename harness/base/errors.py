"""What can go wrong and be the user's to mend: every message is one clear line."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

from haloassay.base.text import printable


def warn_in_one_line() -> None:
    """Let this process print each warning as one line, as errors are."""
    warnings.formatwarning = lambda message, *_, **__: (
        f"haloassay: {printable(str(message), lines=True)}\n"
    )


class HaloassayError(Exception):
    """Base of all errors that a user can act on; the command line prints them without a traceback."""


class HaloassayWarning(UserWarning):
    """Base of all that a user should know of although nothing failed; said once, by the main process."""


class InputError(HaloassayError, ValueError):
    """Unusable input: a scenario, a catalogue, a setting. The message says what, where, and what is allowed."""


class EquilibriumError(InputError):
    """No collisionless equilibrium has the wanted density and anisotropy; the message says where it fails."""


class UsedUpError(InputError):
    """A mock with so many stars and no more has none left for one realisation."""


class EstimationError(HaloassayError):
    """An estimator cannot determine its quantity from this catalogue; the message says why."""


@contextlib.contextmanager
def blamed_on(where: str) -> Iterator[None]:
    """Make one line of whatever code of others raises within, also where it means to end the program.

    Raises
    ------
    InputError
        In place of what is no error of ours; ``where`` names the place.
    """
    try:
        yield
    except HaloassayError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{where}: {in_one_line(error)}") from error


def said_by(error: BaseException) -> str:
    """Message of an error, also of one whose class cannot say what is wrong."""
    try:
        return str(error)
    except BaseException as another:
        return f"a message that raises {type(another).__name__}"


def in_one_line(error: BaseException) -> str:
    """Type and message of an error."""
    message = " ".join(said_by(error).split())
    if isinstance(error, SystemExit):
        return f"it ends the program (SystemExit: {message})"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
