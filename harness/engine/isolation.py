"""What an estimator changes of the process that it runs in is put back before the next one runs, and told.

It cannot be helped that code of others runs in a process of ours; what it leaves there can. Each estimator finds the
same working directory, environment, error state of numpy, warning filters, locale and handlers of signals, whatever
ran before it, and global random numbers of a seed of its own. Functions of numpy, scipy, the standard library and
haloassay that were replaced are put back: those that stand in the namespaces of :data:`_WATCHED`, and methods of the
classes that an estimator is handed. Not seen are changes within objects of C, and in modules of others.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import gc
import locale
import multiprocessing
import operator
import os
import random
import signal
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.base.errors import kept_from_ending
from haloassay.contracts import catalogue, estimate
from haloassay.contracts.stored import StoredColumns

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Modules whose functions are compared, and the package of which all modules are.
_WATCHED: Final = (
    *("builtins", "math", "random", "os", "time", "json", "warnings"),
    *("numpy", "numpy.random", "numpy.linalg", "numpy.fft"),
    *("scipy.integrate", "scipy.interpolate", "scipy.linalg", "scipy.optimize", "scipy.special"),
    *("scipy.stats", "scipy.spatial"),
)
_OURS: Final = "haloassay."
#: Functions that are not: libraries take their place when they are imported, astropy for one, between two estimators
#: too; what an estimator does to them, ``catch_warnings`` undoes.
_LEFT: Final = frozenset({"warnings.showwarning"})
#: Classes whose methods are compared.
_CLASSES: Final = (
    catalogue.Catalogue,
    estimate.Estimate,
    estimate.Estimates,
    estimate.Estimator,
)
#: What stands in a class in place of a function.
_DESCRIPTORS: Final = (property, classmethod, staticmethod, functools.cached_property)
#: Signals whose handlers are compared.
_SIGNALS: Final = tuple(
    getattr(signal, name)
    for name in (
        "SIGINT",
        "SIGTERM",
        "SIGHUP",
        "SIGALRM",
        "SIGCHLD",
        "SIGPIPE",
        "SIGUSR1",
        "SIGUSR2",
    )
    if hasattr(signal, name)
)
#: Names that are told of one kind.
_TOLD: Final = 3


@dataclass(frozen=True)
class _Trait:
    """Something of a process: what to call it, how to read it, how to put it back; silent if it has no name."""

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], Any]


def _folder() -> str | None:
    try:
        return _getcwd()
    except OSError:  # it was deleted
        return None


_getcwd, _chdir, _getpid, _exit = os.getcwd, os.chdir, os.getpid, os._exit


def _to_folder(folder: str | None) -> None:
    if folder is not None:
        _chdir(folder)


def _set_environment(variables: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name not in variables]:
        del os.environ[name]
    for name, value in variables.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in _SIGNALS}


def _set_handlers(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _mask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _has_timer() -> bool:
    return hasattr(signal, "getitimer") and signal.getitimer(signal.ITIMER_REAL)[0] > 0.0


def _set_timer(running: bool) -> None:
    if not running:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _set_path(folders: list[str]) -> None:
    """Put sys.path back; what was added stays at its end, where later imports of a plug-in find it."""
    sys.path[:] = [*folders, *(folder for folder in sys.path if folder not in folders)]


def _set_streams(streams: tuple[Any, Any, Any]) -> None:
    sys.stdin, sys.stdout, sys.stderr = streams


def _set_collection(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()


def _random_states() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state()  # noqa: NPY002


def _set_random_states(states: tuple[Any, Any]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002


_TRAITS: Final = (
    _Trait("the standard streams", lambda: (sys.stdin, sys.stdout, sys.stderr), _set_streams),
    _Trait("the working directory", _folder, _to_folder),
    _Trait("environment variables", os.environ.copy, _set_environment),
    _Trait("numpy's error state", np.geterr, lambda state: np.seterr(**state)),
    _Trait("numpy's error call", np.geterrcall, np.seterrcall),
    _Trait(
        "the locale",
        lambda: locale.setlocale(locale.LC_ALL),
        lambda name: locale.setlocale(locale.LC_ALL, name),
    ),
    _Trait("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    _Trait("handlers of signals", _handlers, _set_handlers),
    _Trait("the mask of new files", _mask, os.umask),
    _Trait("a timer", _has_timer, _set_timer),
    _Trait("the trace function", sys.gettrace, sys.settrace),
    _Trait("the profile function", sys.getprofile, sys.setprofile),
    _Trait("the garbage collector", gc.isenabled, _set_collection),
    _Trait("", lambda: [*sys.path], _set_path),
)


@contextlib.contextmanager
def isolated(seed: int) -> Iterator[list[str]]:
    """Let an estimator run within; afterwards all is as before, and the list that is given says what had changed.

    A process that the estimator forked, and that comes back from it, ends here: it must not go on with our work.

    Parameters
    ----------
    seed
        Of the global generators of ``random`` and ``numpy.random``, in 0 to 2^32 - 1.
    """
    told: list[str] = []
    process = _getpid()
    worker = multiprocessing.parent_process() is not None  # where nothing else is to be spared
    names = _namespaces(worker)
    threads, children = threading.active_count(), _children()
    states = None if worker else _random_states()
    before = [trait.read() for trait in _TRAITS]
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        # a worker may be ended: that is told, and costs nobody else anything
        kept = contextlib.nullcontext() if worker else kept_from_ending()
        with warnings.catch_warnings(), kept:
            yield told
    finally:
        if _getpid() != process:
            _exit(1)
        with contextlib.suppress(Exception):
            told += _put_back_functions(names)
        for trait, value in zip(_TRAITS, before, strict=True):
            # one that cannot be put back, as of handlers in another thread, must not keep the others from it
            with contextlib.suppress(Exception):
                told += _put_back(trait, value)
        with contextlib.suppress(Exception):
            if states is not None:
                _set_random_states(states)
        if (left := threading.active_count() - threads) > 0:
            told.append(f"left threads running ({left})")
        if left := len(_children() - children):
            told.append(f"left processes running ({left}): they end with the worker")


def _put_back(trait: _Trait, before: Any) -> Iterator[str]:
    now = trait.read()
    if now == before:
        return
    trait.restore(before)
    if trait.name and isinstance(before, Mapping):
        names = sorted(str(k) for k in {**before, **now} if before.get(k) != now.get(k))
        yield f"changed {trait.name} ({_some(names)}): put back"
    elif trait.name:
        yield f"changed {trait.name}: put back"


def _some(names: Iterable[str]) -> str:
    listed = [*names]
    more = f" and {len(listed) - _TOLD} more" if len(listed) > _TOLD else ""
    return f"{', '.join(listed[:_TOLD])}{more}"


@dataclass(frozen=True)
class _Namespace:
    """Functions and classes that stand in a module or class."""

    owner: Any
    space: Mapping[str, Any]
    names: tuple[str, ...]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, owner: Any) -> _Namespace:
        space = vars(owner)
        members = tuple(
            (name, value)
            for name, value in space.items()
            if _is_code(value) and f"{owner.__name__}.{name}" not in _LEFT
        )
        return cls(owner, space, tuple(n for n, _ in members), tuple(v for _, v in members))

    @functools.cached_property
    def _all(self) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
        """What stands under the names, in a space."""
        # of one name alone, ``itemgetter`` would make no tuple
        return operator.itemgetter(*self.names) if len(self.names) > 1 else self._each

    def _each(self, space: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(space[name] for name in self.names)

    def is_whole(self) -> bool:
        try:
            # tuples compare by identity first, at a tenth of the time that a loop takes
            return self._all(self.space) == self.values
        except Exception:  # one is gone, or what stands there now compares in a way of its own
            return False

    def put_back(self) -> Iterator[str]:
        called = self.owner.__name__
        for name, value in zip(self.names, self.values, strict=True):
            if self.space.get(name) is not value:
                setattr(self.owner, name, value)
                yield f"{called}.{name}"


def _is_code(value: Any) -> bool:
    return callable(value) or isinstance(value, _DESCRIPTORS)


#: Namespaces as they were last seen in order, by the name of the module or class.
_seen: dict[str, _Namespace] = {}


@functools.lru_cache(maxsize=1)
def _watched(n_modules: int) -> tuple[tuple[str, Any], ...]:
    """Owners of the namespaces; listed anew once there are more modules."""
    modules = [
        (name, module)
        for name, module in tuple(sys.modules.items())
        if (name in _WATCHED or name.startswith(_OURS)) and isinstance(module, ModuleType)
    ]
    return (*modules, *((cls.__qualname__, cls) for cls in _CLASSES))


def _namespaces(alone: bool) -> list[_Namespace]:
    """Namespaces as they are: read anew where they are not as they were last seen, unless we are ``alone``."""
    found = []
    for name, owner in _watched(len(sys.modules)):
        known = _seen.get(name)
        if known is None or known.owner is not owner or not (alone or known.is_whole()):
            known = _seen[name] = _Namespace.of(owner)
        found.append(known)
    return found


def _put_back_functions(names: Iterable[_Namespace]) -> Iterator[str]:
    found = []
    for known in names:
        name, owner = known.owner.__name__, known.owner
        if isinstance(owner, ModuleType) and sys.modules.get(name) is not owner:
            sys.modules[name] = owner
            found.append(name)
    found += [name for known in names if not known.is_whole() for name in known.put_back()]
    if found:
        yield f"replaced functions ({_some(found)}): put back"


def _children() -> frozenset[str]:
    """List the processes that this one has started and that are alive, where the system tells."""
    found: set[str] = set()
    try:
        tasks = os.listdir("/proc/self/task")
    except OSError:
        return frozenset()
    for task in tasks:
        with (
            contextlib.suppress(OSError),
            builtins.open(f"/proc/self/task/{task}/children") as file,
        ):
            found.update(file.read().split())
    return frozenset(found)


def fingerprint(stars: Catalogue) -> Mapping[str, int]:
    """Checksums of all arrays that a catalogue holds, by name: whoever reads it next must find them so."""
    return {name: _checksum(value) for name, value in vars(stars).items() if _arrays(value)}


def is_touched(stars: Catalogue, before: Mapping[str, int]) -> bool:
    """Tell whether arrays of a catalogue are not what they were."""
    now = fingerprint(stars)
    return any(now.get(name) != value for name, value in before.items())


def _arrays(value: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(value, StoredColumns):  # of which everybody reads a copy
        return []
    if isinstance(value, Mapping):
        value = tuple(value.values())
    parts = value if isinstance(value, tuple) else (value,)
    return [part for part in parts if isinstance(part, np.ndarray)]


def _checksum(value: Any) -> int:
    total = 0
    for array in _arrays(value):
        total = zlib.crc32(np.ascontiguousarray(array).data, total)
    return total
