"""What is installed: `haloassay --version`, and with `--verbose` all that results may depend on."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from typing import Any, Final

import click

from haloassay import __version__

_META: Final = "haloassay.verbose"
#: Variables that decide where and how things are computed.
_VARIABLES: Final = ("HALOASSAY_", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def version_options(group: Any) -> Any:
    """Give the command its options ``--version`` and ``--verbose``."""
    verbose = click.option(
        "--verbose",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_remember,
        help="With --version: of all that results may depend on.",
    )
    version = click.option(
        "--version",
        is_flag=True,
        expose_value=False,
        callback=_tell,
        help="Show the version and exit.",
    )
    return version(verbose(group))


def _remember(ctx: click.Context, _: click.Parameter, given: bool) -> None:
    ctx.meta[_META] = given


def _tell(ctx: click.Context, _: click.Parameter, given: bool) -> None:
    verbose = ctx.meta.get(_META, False)
    if given:
        click.echo(f"haloassay, version {__version__}")
        for line in _all() if verbose else ():
            click.echo(line)
        ctx.exit()
    if verbose:
        raise click.UsageError("--verbose goes with --version; -v of a command makes it say more")


def _all() -> Iterator[str]:
    """Versions of python, of all that haloassay needs or can use, and what else decides about numbers."""
    from haloassay.base.cache import cache_folder

    yield f"python {platform.python_version()} ({platform.python_implementation()})"
    yield platform.platform()
    for name in _needed():
        yield f"{name} {_version(name)}"
    yield f"BLAS {_blas()}"
    yield f"processors {os.cpu_count()}"
    yield f"cache {cache_folder()}"
    for name in sorted(os.environ):
        if name.startswith(_VARIABLES):
            yield f"{name}={os.environ[name]}"


def _needed() -> list[str]:
    """Names of distributions that haloassay needs, and of those that it uses where they are installed."""
    from importlib.metadata import requires

    lines = [line for line in requires("haloassay") or () if "extra ==" not in line]
    names = [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in lines]
    return [*sorted(names), "agama", "distributed", "pytest", "hypothesis"]


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"


def _blas() -> str:
    import numpy as np

    told: Any = np.show_config(mode="dicts")
    blas = told.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
