"""Where tasks go: the scheduler that a user names, and the connection to it."""

from __future__ import annotations

import contextlib
import inspect
import logging
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from haloassay.base.errors import InputError, in_one_line
from haloassay.base.settings import guess

#: Classes of dask-jobqueue, by what a user calls the queue.
QUEUES: Final = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
}
LOCAL: Final = "local"
_ADDRESS: Final = re.compile(r"[a-z]+://\S+:\d+")
_ALLOWED: Final = (
    f"tcp://HOST:PORT, {LOCAL}, or {', '.join(f'{name}:FILE.toml' for name in QUEUES)}"
)
#: Seconds in which a scheduler must answer.
_ANSWER: Final = 10.0
#: Loggers of Dask whose words a run says in its own, once.
_LOGGERS: Final = ("distributed", "distributed.client", "distributed.nanny", "distributed.worker")


@dataclass(frozen=True)
class Place:
    """A scheduler that a user has named; nothing is connected yet.

    Parameters
    ----------
    kind
        ``address``, ``local``, a queue, or ``client``.
    name
        As the user wrote it.
    settings
        Of a queue.
    client
        Of a user who has one.
    """

    kind: str
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    client: Any = None


def place_of(scheduler: str | None, client: Any = None) -> Place:
    """Read what a user says of a scheduler, or take the client that he has.

    Raises
    ------
    InputError
        If it is none, or Dask is not installed.
    """
    if client is not None:
        return _of_client(scheduler, client)
    scheduler = scheduler or ""
    kind, colon, file = scheduler.partition(":")
    if "://" in scheduler:
        if not _ADDRESS.fullmatch(scheduler):
            raise InputError(f"scheduler: {scheduler!r} is no address (expected tcp://HOST:PORT)")
        place = Place("address", scheduler)
    elif scheduler == LOCAL:
        place = Place(LOCAL, scheduler)
    elif colon and kind in QUEUES:
        place = Place(kind, scheduler, _settings(file))
    else:
        hint = guess(kind, [LOCAL, *QUEUES])
        raise InputError(f"scheduler: unknown {scheduler!r}{hint} (allowed: {_ALLOWED})")
    _require_dask(place)
    return place


def _of_client(scheduler: str | None, client: Any) -> Place:
    if scheduler is not None:
        raise InputError("client: a scheduler is given, too; one of them says where tasks go")
    if not all(hasattr(client, name) for name in ("submit", "nthreads", "scheduler")):
        raise InputError(f"client: expected a distributed.Client (got {type(client).__name__})")
    if client.asynchronous:
        raise InputError("client: is asynchronous: make it with asynchronous=False")
    return Place("client", client.scheduler.address, client=client)


def _settings(file: str) -> Mapping[str, Any]:
    """Read the settings of a queue."""
    try:
        settings = tomllib.loads(Path(file).read_text("utf-8-sig"))
    except OSError as error:
        raise InputError(f"scheduler: {file or '(no file)'}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"scheduler: {file}: is no TOML: {error}") from None
    jobs = settings.setdefault("jobs", 1)
    if not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1:
        raise InputError(f"scheduler: {file}: jobs: expected a whole number above 0 (got {jobs!r})")
    return settings


def _require_dask(place: Place) -> None:
    try:
        import distributed  # noqa: F401

        if place.kind in QUEUES:
            import dask_jobqueue  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"scheduler {place.name}: there is no {error.name or 'Dask'} here: python -m pip install 'haloassay[dask]'"
        ) from None


@contextlib.contextmanager
def connected(place: Place, workers: int) -> Iterator[Any]:
    """Client of a scheduler, started where the user wants one; what was started here ends with the block.

    Raises
    ------
    InputError
        If nobody answers, or the queue does not take its settings.
    """
    if place.client is not None:
        yield place.client
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        if place.kind == "address":
            yield stack.enter_context(closing(client_of(place.name, _ANSWER)))
            return
        cluster = _started(place, workers)
        stack.callback(_close, cluster)
        yield stack.enter_context(closing(client_of(cluster, _ANSWER)))


def client_of(address: Any, seconds: float, security: Any = None) -> Any:
    """Make a client of a scheduler.

    Raises
    ------
    InputError
        If it does not answer in so many seconds.
    """
    from distributed import Client

    given = {} if security is None else {"security": security}
    try:
        return Client(address, timeout=seconds, set_as_default=False, **given)
    except Exception as error:  # of any library below it
        name = getattr(address, "scheduler_address", address)
        raise InputError(f"scheduler {name}: does not answer ({_root(error)})") from None


def _root(error: BaseException) -> str:
    """Say what the system has said, where an error comes from that."""
    each: BaseException | None = error
    while each is not None:
        if told := getattr(each, "strerror", None):
            return str(told)
        each = each.__cause__ or each.__context__
    return in_one_line(error)


@contextlib.contextmanager
def closing(client: Any) -> Iterator[Any]:
    """Close a client in the end, also one whose scheduler is gone."""
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=2.0)


def _close(cluster: Any) -> None:
    with contextlib.suppress(Exception):
        cluster.close(timeout=10.0)


def _started(place: Place, workers: int) -> Any:
    """Cluster of this machine, or of a queue."""
    from haloassay.engine.executors.pool import blocked_interrupt

    if place.kind == LOCAL:
        from distributed import LocalCluster

        # Ctrl-C is for the run, which ends its workers; a terminal sends it to all
        with blocked_interrupt():
            return LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
            )
    import dask_jobqueue

    make = getattr(dask_jobqueue, QUEUES[place.kind])
    settings = dict(place.settings)
    jobs = settings.pop("jobs")
    _require_known(settings, make, place.name)
    try:
        cluster = make(**settings)
        cluster.scale(jobs=jobs)
    except Exception as error:  # it says in many ways what it lacks
        raise InputError(f"scheduler {place.name}: {in_one_line(error)}") from None
    return cluster


def _require_known(settings: Mapping[str, Any], make: Any, name: str) -> None:
    """Refuse settings that neither a cluster of dask-jobqueue nor its jobs have."""
    classes = {*make.__mro__, *make.job_cls.__mro__} - {object}
    functions = (vars(cls).get("__init__") for cls in classes)
    known = {each for f in functions if f for each in inspect.signature(f).parameters}
    for setting in settings:
        if setting not in known:
            hint = guess(setting, known)
            raise InputError(f"scheduler {name}: {make.__name__} has no {setting!r}{hint}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the loggers of Dask from saying in tracebacks what the run says in a line."""
    import distributed  # noqa: F401  # it sets these levels

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
