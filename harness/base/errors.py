"""What can go wrong and be the user's to mend: every message is one clear line."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from typing import NoReturn

from haloassay.base.text import printable


def warn_in_one_line() -> None:
    """Let this process print each warning as one line, as errors are."""
    warnings.formatwarning = lambda message, *_, **__: (
        f"haloassay: {printable(str(message), lines=True)}\n"
    )


class HaloassayError(Exception):
    """Base of all errors that a user can act on; the command line prints them without a traceback.

    Parameters
    ----------
    message
        What is wrong, where, and what is allowed. It becomes one line, with what a terminal would obey as escapes: it
        may quote files, names and errors of others.
    """

    def __init__(self, message: object = "") -> None:
        lines = (line.strip() for line in str(message).splitlines())
        super().__init__(printable(" ".join(filter(None, lines))))


class HaloassayWarning(UserWarning):
    """Base of all that a user should know of although nothing failed; said once, by the main process."""


class InputError(HaloassayError, ValueError):
    """Unusable input: a scenario, a catalogue, a setting. The message says what, where, and what is allowed."""


class RemediedError(InputError):
    """Unusable input, and an option that mends it, which not everyone who reads the input has.

    Parameters
    ----------
    what
        The message without the remedy.
    remedy
        What follows it.
    """

    def __init__(self, what: object = "", remedy: str = "") -> None:
        super().__init__(f"{what}{remedy}")
        self.what = str(what)


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
        with kept_from_ending():
            yield
    except HaloassayError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{where}: {in_one_line(error)}") from error


@contextlib.contextmanager
def kept_from_ending() -> Iterator[None]:
    """Make ``SystemExit`` of ``os._exit`` within, which nothing could catch and nobody would hear of.

    That of other threads, and of processes that are forked within, is what it was; also later, where a module has
    kept the function that it found.
    """
    leave, here = os._exit, (os.getpid(), threading.get_ident())
    within = True

    def stay(status: int) -> NoReturn:
        if within and here == (os.getpid(), threading.get_ident()):
            raise SystemExit(status)
        leave(status)

    os._exit = stay
    try:
        yield
    finally:
        within = False
        os._exit = leave


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
