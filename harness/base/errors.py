"""What can go wrong and be the user's to mend: every message is one clear line."""

import warnings

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
