"""Conditions such as ``feh < -1.3 and abs(b) > 20``: read into a tree of known names, and never run as code.

Python's parser makes the tree and nothing else of it: what is not a number, a known name, a known function, arithmetic,
a comparison, ``and``, ``or`` or ``not`` is refused before anything is evaluated, so no attribute, index, text or
call can get at what the list of names does not hold. (Libraries that evaluate a string, numexpr among them, hand it to
``eval`` behind a filter.)
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from haloassay.base.errors import InputError
from haloassay.base.settings import require, unknown

#: Longest text, and deepest nesting: beyond them nobody reads it.
_LONGEST: Final = 1000
_DEEPEST: Final = 40

#: Functions that may be called, and with how many numbers; angles are in degrees.
FUNCTIONS: Final[Mapping[str, tuple[int, Callable[..., Any]]]] = {
    "abs": (1, np.abs),
    "sqrt": (1, np.sqrt),
    "exp": (1, np.exp),
    "log": (1, np.log),
    "log10": (1, np.log10),
    "sin": (1, lambda x: np.sin(np.radians(x))),
    "cos": (1, lambda x: np.cos(np.radians(x))),
    "hypot": (2, np.hypot),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
}
_ARITHMETIC: Final[Mapping[type, Callable[..., Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.true_divide,
    ast.Pow: np.float_power,
}
_COMPARISONS: Final[Mapping[type, Callable[..., Any]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True)
class Node:
    """A part of a condition: what it is computed with, of which parts; ``true_false`` or a number."""

    value: Callable[..., Any]
    parts: tuple[Node, ...] = ()
    name: str = ""
    true_false: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names that are read, in their order, each once."""
        own = (self.name,) if self.name else ()
        return tuple(dict.fromkeys([*own, *(n for part in self.parts for n in part.names)]))

    def at(self, values: Mapping[str, Any]) -> Any:
        """Value, of arrays by name."""
        if self.name:
            return values[self.name]
        return self.value(*(part.at(values) for part in self.parts))


def parse(text: str, known: frozenset[str], where: str) -> Node:
    """Read a condition.

    Parameters
    ----------
    text
        Numbers, ``known`` names, :data:`FUNCTIONS`, + - * / **, comparisons, and, or, not, brackets.
    known
        Names that it may read.
    where
        What to call its place in an error.

    Raises
    ------
    InputError
        If it is anything else, or no condition.
    """
    require(len(text) <= _LONGEST, f"{where}: at most {_LONGEST} characters (got {len(text)})")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InputError(f"{where}: {text!r} cannot be read: {said}") from None
    reader = _Reader(known, where, text)
    node = reader.read(tree, 0)
    if not node.true_false:
        raise reader.refused(tree, "is a number: expected a condition, such as feh < -1.3")
    return node


@dataclass(frozen=True)
class _Reader:
    """Reads the tree of one text."""

    known: frozenset[str]
    where: str
    text: str

    def refused(self, tree: ast.AST, why: str) -> InputError:
        """Error that quotes a part of the text."""
        part = ast.get_source_segment(self.text.strip(), tree) or self.text
        return InputError(f"{self.where}: {part!r} {why}")

    def read(self, tree: ast.expr, depth: int) -> Node:
        """Node of a tree; refuses what is not known."""
        if depth > _DEEPEST:
            raise InputError(f"{self.where}: brackets are nested deeper than {_DEEPEST}")
        deeper = depth + 1
        match tree:
            case ast.Constant(value=float() | int() as number) if not isinstance(number, bool):
                return self._number(tree, number)
            case ast.Name(id=name):
                if name not in self.known:
                    raise unknown("name", name, self.known, self.where)
                return Node(np.asarray, name=name)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Node(np.logical_not, self._conditions([operand], deeper), true_false=True)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                function = operator.neg if isinstance(sign, ast.USub) else operator.pos
                return Node(function, self._numbers([operand], deeper))
            case ast.BoolOp(op=op, values=values):
                both = np.logical_and if isinstance(op, ast.And) else np.logical_or
                parts = self._conditions(values, deeper)
                return Node(lambda *x: _reduced(both, x), parts, true_false=True)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                return Node(_ARITHMETIC[type(op)], self._numbers([left, right], deeper))
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._comparison(tree, [left, *others], ops, deeper)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._call(tree, name, args, deeper)
        hint = " (conditions are joined by and, or, not)" if isinstance(tree, ast.BinOp) else ""
        raise self.refused(tree, f"is not allowed in a condition{hint}")

    def _number(self, tree: ast.expr, number: float) -> Node:
        try:
            value = float(number)
        except OverflowError:
            raise self.refused(tree, "is too large") from None
        return Node(lambda: value)

    def _numbers(self, trees: list[ast.expr], depth: int) -> tuple[Node, ...]:
        return self._parts(trees, depth, False, "is a condition: expected a number")

    def _conditions(self, trees: list[ast.expr], depth: int) -> tuple[Node, ...]:
        return self._parts(trees, depth, True, "is a number: expected a condition")

    def _parts(self, trees: list[ast.expr], depth: int, wanted: bool, why: str) -> tuple[Node, ...]:
        parts = tuple(self.read(tree, depth) for tree in trees)
        for tree, part in zip(trees, parts, strict=True):
            if part.true_false != wanted:
                raise self.refused(tree, why)
        return parts

    def _comparison(
        self, tree: ast.expr, trees: list[ast.expr], ops: list[ast.cmpop], depth: int
    ) -> Node:
        """Node of ``a < b <= c``, which is ``a < b and b <= c``."""
        if any(type(op) not in _COMPARISONS for op in ops):
            raise self.refused(tree, "is not allowed in a condition (use < <= > >= == !=)")
        functions = [_COMPARISONS[type(op)] for op in ops]

        def compare(*values: Any) -> Any:
            pairs = zip(functions, values[:-1], values[1:], strict=True)
            return _reduced(np.logical_and, [f(a, b) for f, a, b in pairs])

        return Node(compare, self._numbers(trees, depth), true_false=True)

    def _call(self, tree: ast.expr, name: str, args: list[ast.expr], depth: int) -> Node:
        if name not in FUNCTIONS:
            raise unknown("function", name, FUNCTIONS, self.where)
        wanted, function = FUNCTIONS[name]
        if len(args) != wanted:
            raise self.refused(tree, f"has {len(args)} arguments: {name} takes {wanted}")
        return Node(function, self._numbers(args, depth))


def _reduced(function: Callable[[Any, Any], Any], values: Any) -> Any:
    first, *rest = values
    for value in rest:
        first = function(first, value)
    return first
