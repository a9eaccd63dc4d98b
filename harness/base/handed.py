"""Estimators that are handed over as classes: found again by a name that holds a digest of their source.

Such a class may stand in a notebook or in ``__main__``, where no worker process could import it. It is sent to the
workers of a run by cloudpickle, and never written to disk; results know it by its name and the digest. The digest is
of the source of the class, of the classes that it is built on, and of functions, classes and plain constants of its
module that these name, all but what is installed; not of other modules that it imports.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import inspect
import linecache
import sys
import types
from collections.abc import Iterator
from typing import Any, Final

from haloassay.base.errors import InputError, blamed_on

#: Sign between the name of a class and the digest of its source.
SIGN: Final = "#"

_classes: dict[str, type] = {}


def hand_over(cls: type, where: str) -> str:
    """Name by which a class is found from now on, in this process and in workers that are started later.

    Parameters
    ----------
    cls
        A class of the user's own.
    where
        What to call this place in an error.

    Raises
    ------
    InputError
        If its source is nowhere to be read: results of it could not be told from those of another class of that name.
    """
    name = f"{cls.__name__}{SIGN}{source_digest(cls, where)}"
    _classes[name] = cls
    return name


def handed(name: str) -> type | None:
    """Class that was handed over under a name."""
    return _classes.get(name)


def digest_of(cls: type) -> str:
    """Digest of the source of a class that was handed over; empty of others."""
    names = (name for name, known in _classes.items() if known is cls)
    return next(names, "").rpartition(SIGN)[2]


def packed() -> bytes:
    """All classes that were handed over, for :func:`unpack` in another process of this run.

    Raises
    ------
    InputError
        If one holds what cannot be sent to another process.
    """
    if not _classes:
        return b""
    import cloudpickle

    with blamed_on(f"{', '.join(_classes)}: cannot be sent to worker processes"):
        data: bytes = cloudpickle.dumps(_classes)
    return data


def unpack(data: bytes) -> None:
    """Take over the classes that another process has :func:`packed`."""
    if data:
        import cloudpickle

        _classes.update(cloudpickle.loads(data))


def source_digest(cls: type, where: str) -> str:
    """Digest of what a class is made of: see this module.

    Raises
    ------
    InputError
        If the source cannot be read.
    """
    parts: dict[str, str] = {}
    for each in cls.__mro__:
        if _is_own(each):
            _gather(each, where, parts)
    text = "\n".join(f"{name}\n{part}" for name, part in sorted(parts.items()))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _is_own(thing: Any) -> bool:
    """Tell whether something is the user's, rather than of Python or of an installed package."""
    module = getattr(thing, "__module__", None)
    if module is None or module == "__main__":
        return module is not None
    file = getattr(sys.modules.get(module), "__file__", None)
    package = module.partition(".")[0]
    return (
        package not in sys.stdlib_module_names
        and package != "haloassay"
        and (file is None or "site-packages" not in file)
        and not hasattr(builtins, getattr(thing, "__name__", ""))
    )


def _gather(thing: Any, where: str, parts: dict[str, str]) -> None:
    """Add the source of a class or function, and of what it names in its module."""
    name = f"{thing.__qualname__}"
    if name in parts:
        return
    source = _source(thing)
    if source is None:
        raise InputError(
            f"{where}: the source of {name!r} cannot be read, so its results could not be told from those of another"
            " version: define it in a file or a notebook, or name it as 'module:Class'"
        )
    parts[name] = inspect.cleandoc(source)
    for function in _functions(thing):
        for used, value in _named(function):
            if isinstance(value, type | types.FunctionType):
                if value.__module__ == thing.__module__ and _is_own(value):
                    _gather(value, where, parts)
            elif isinstance(value, bool | int | float | str | tuple | frozenset):
                parts[f"{used} ="] = repr(value)


def _functions(thing: Any) -> Iterator[types.FunctionType]:
    members = vars(thing).values() if isinstance(thing, type) else (thing,)
    for member in members:
        if isinstance(member, property):
            member = member.fget
        member = getattr(member, "__wrapped__", getattr(member, "__func__", member))
        if isinstance(member, types.FunctionType):
            yield member


def _named(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Names of a function's module that its code, and code within it, reads."""
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        for name in code.co_names:
            if name in function.__globals__:
                yield name, function.__globals__[name]


def _source(thing: Any) -> str | None:
    """Text of a class or function; ``inspect`` alone does not find classes of notebooks."""
    for function in _functions(thing):
        if isinstance(thing, type) and (text := _class_around(thing, function)):
            return text
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError, SyntaxError, IndentationError):
        return None


def _class_around(cls: type, function: types.FunctionType) -> str | None:
    """Text of a class in the file, or cell of a notebook, that one of its methods stands in."""
    text = "".join(linecache.getlines(function.__code__.co_filename))
    line = function.__code__.co_firstlineno
    try:
        nodes = [*ast.walk(ast.parse(text))] if text else []
    except SyntaxError:  # a cell with commands of IPython
        return None
    for node in nodes:
        if not isinstance(node, ast.ClassDef) or node.name != cls.__name__:
            continue
        if node.lineno <= line <= (node.end_lineno or node.lineno):
            return ast.get_source_segment(text, node)
    return None
