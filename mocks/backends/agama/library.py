"""agama itself (Vasiliev 2019, MNRAS 482, 1525): whether it is there, in which units, and what it can solve.

Units of agama here are kpc, km/s and Msun, so that its unit of time is kpc/(km/s).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
from typing import Any, Final

import numpy as np

from haloassay.base.errors import InputError
from haloassay.base.settings import require

#: How to get it; a registry's package builds from source as well.
HOW_TO_INSTALL: Final = (
    "pip install agama, or pip install . in a copy of its source; it is compiled on the way, which"
    " takes a C++ compiler and the GNU Scientific Library"
)

_UNITS: Final = {"length": 1.0, "velocity": 1.0, "mass": 1.0}


def library() -> Any:
    """Import agama, in units of kpc, km/s and Msun.

    Raises
    ------
    InputError
        If it cannot be imported (the message says how to install it), or somebody has set other
        units.
    """
    try:
        agama = importlib.import_module("agama")
        units = agama.getUnits()
    except (ImportError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"needs agama, which cannot be imported ({reason}); to install it: {HOW_TO_INSTALL}"
        ) from None
    if not units:
        agama.setUnits(**_UNITS)
    elif any(abs(_plain(units[name]) / value - 1.0) > 1e-12 for name, value in _UNITS.items()):
        raise InputError(
            "agama works in other units here: call agama.setUnits(length=1, velocity=1, mass=1) before"
            " any potential is made"
        )
    return agama


def library_with_units() -> Any:
    """Return agama where its units have been set already: a potential made before has none.

    Raises
    ------
    InputError
        If it cannot be imported, or has no or other units.
    """
    with contextlib.suppress(ImportError):  # library() says it better
        require(
            bool(importlib.import_module("agama").getUnits()),
            "agama has no units, so neither has the potential: call agama.setUnits(length=1, velocity=1,"
            " mass=1) before it is made",
        )
    return library()


def require_solver() -> None:
    """Raise :class:`InputError` where agama is missing or cannot solve for the weights of Schwarzschild models."""
    library()
    reason = solver_fault()
    require(reason is None, f"Schwarzschild models cannot be solved: {reason}")


def state() -> str:
    """One line that says which agama is there and whether it solves Schwarzschild models."""
    try:
        version = str(library().__version__).split()[0]
    except InputError as error:
        return str(error)
    reason = solver_fault()
    if reason is None:
        return f"agama {version} is installed, with CVXOPT as its solver of Schwarzschild models"
    return f"agama {version} is installed, but Schwarzschild models cannot be solved: {reason}"


@functools.cache
def solver_fault() -> str | None:
    """Why agama has no quadratic solver; None where it has one.

    CVXOPT is the only one that it knows, chosen when agama is built and imported when it is needed: GLPK, the
    other optional one, solves linear problems.
    """
    one = np.ones(1)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the solver tells of every step
            # with an upper limit, or agama would choose its fastest matrix product by a matrix of one number
            library().solveOpt(matrix=np.eye(1), rhs=one, xpenq=one, xmax=2.0 * one)
    except RuntimeError as error:
        if "not implemented" in str(error):
            return "agama was built without CVXOPT (pip install cvxopt, and build agama again)"
        return f"CVXOPT, which agama was built with, fails here ({' '.join(str(error).split())}; pip install cvxopt)"
    return None


def _plain(unit: Any) -> float:
    """Value of a unit of agama's, which is a quantity where astropy is installed."""
    return float(getattr(unit, "value", unit))
