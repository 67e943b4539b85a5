"""The normal form of a signature: an expression tree, the same for all that computes the same.

In: a signature (see `walk`). Out: a tree of frozen nodes and the operation's id. Once per signature, not
per task. Must not look at literals.

Lets that are used once, or that only name a port or a constant, are inlined, so that how Dask fused a
task does not matter. Ports keep the order of the leaves.
"""

from __future__ import annotations

import hashlib
import sys
from itertools import islice
from typing import Any

from graphlambda.compiler.constants import CodeConstant, Import
from graphlambda.compiler.trees import (
    Attribute,
    Call,
    Code,
    Composed,
    EmptyCell,
    Function,
    Items,
    Let,
    Method,
    Node,
    Pairs,
    Partial,
    Port,
    Use,
)


def normal_form(signature: tuple[Any, ...]) -> Node:
    """Return the expression tree of a signature in normal form."""
    reader = _Reader(signature)
    return _Inliner(reader.node(), reader).tree


def operation_id(tree: Node, constants: list[CodeConstant]) -> str:
    """Return the id of an operation: equal in every process, whatever the hash seed or the file's place."""
    minor = "python{}.{}".format(*sys.version_info[:2])
    return hashlib.sha256(f"{minor} {_text(tree, constants)}".encode()).hexdigest()


def _text(value: Any, constants: list[CodeConstant]) -> str:
    """Spell a tree out, with what a constant is in place of its number."""
    if isinstance(value, tuple):
        return "(" + " ".join(_text(member, constants) for member in value) + ")"
    if not hasattr(value, "__slots__") or isinstance(value, str | int):
        return repr(value)
    fields = [
        _identity(constants[value.constant]) if name == "constant" else _text(getattr(value, name), constants)
        for name in value.__slots__
    ]
    return f"{type(value).__name__}({' '.join(fields)})"


def _identity(constant: CodeConstant) -> str:
    return f"{constant.module}:{constant.name}" if isinstance(constant, Import) else constant.fingerprint


_CALLS: dict[str, type[Call | Partial]] = {"C": Call, "A": Partial}


class _Reader:
    """Parses a signature; lets are kept aside with the number of their uses."""

    def __init__(self, signature: tuple[Any, ...]) -> None:
        self._tokens = iter(signature)
        self._ports = 0
        self.lets: list[Any] = []
        self.uses: list[int] = []
        self._locals: list[int] = []
        """The let of each `=`."""
        self._things: list[int] = []
        """The let of each `#`."""

        self._open: list[int] = []
        self._same: tuple[int, ...] = ()
        self._port_of: tuple[int, ...] = ()
        self._repeating = False

    def node(self) -> Node:
        token = next(self._tokens)
        return getattr(self, _READERS[token])(token)  # type: ignore[no-any-return]

    def _many(self, count: int) -> tuple[Node, ...]:
        return tuple(self.node() for _ in range(count))

    def _named(self, names: tuple[str, ...]) -> tuple[tuple[str, Node], ...]:
        return tuple((name, self.node()) for name in names)

    def _port(self, _token: str) -> Node:
        if self._repeating:
            return Port(-1)
        self._ports += 1
        return Port(self._port_of[self._ports - 1] if self._port_of else self._ports - 1)

    def _shared(self, _token: str) -> Node:
        self._same, self._port_of = next(self._tokens), next(self._tokens)
        return self.node()

    def _thing(self, _token: str) -> Node:
        number = len(self._things)
        first = self._same[number] if self._same else number
        if first == number:
            return self._new(self._things)
        self._things.append(self._things[first])
        self._read_again()
        self.uses[self._things[first]] += 1
        return Use(self._things[first])

    def _new(self, lets: list[int]) -> Node:
        number = len(self.lets)
        lets.append(number)
        self.lets.append(None)
        self.uses.append(1)
        self._open.append(number)
        self.lets[number] = self.node()
        self._open.pop()
        return Use(number)

    def _read_again(self) -> None:
        """Read over what is known."""
        uses, repeating = list(self.uses), self._repeating
        self._repeating = True
        self._open.append(-1)
        self.node()
        self._open.pop()
        self._repeating = repeating
        self.uses[: len(uses)] = uses

    def _code(self, _token: str) -> Node:
        return Code(next(self._tokens))

    def _call(self, token: str) -> Node:
        count, names = next(self._tokens), next(self._tokens)
        called = self.node()
        return _CALLS[token](called, self._many(count), self._named(names))

    def _composed(self, _token: str) -> Node:
        return Composed(self._many(next(self._tokens)))

    def _method(self, _token: str) -> Node:
        return Method(next(self._tokens))

    def _attribute(self, _token: str) -> Node:
        return Attribute(next(self._tokens), self.node())

    def _items(self, token: str) -> Node:
        return Items(token, self._many(next(self._tokens)))

    def _pairs(self, _token: str) -> Node:
        return Pairs(tuple((self.node(), self.node()) for _ in range(next(self._tokens))))

    def _let(self, _token: str) -> Node:
        return self._new(self._locals)

    def _use(self, _token: str) -> Node:
        number = self._locals[next(self._tokens)]
        self.uses[number] += 1
        return Use(number)

    def _function(self, _token: str) -> Node:
        constant, cells, defaults, keywords, names, attributes, modules = islice(self._tokens, 7)
        return Function(
            constant,
            self._many(cells),
            self._many(defaults),
            self._named(keywords),
            self._named(names),
            self._named(attributes),
            modules,
        )

    def _empty(self, _token: str) -> Node:
        return EmptyCell()

    def _enclosing(self, _token: str) -> Node:
        number = self._open[-1 - next(self._tokens)]
        self.uses[number] += 1
        return Use(number)


_READERS = {
    "P": "_port",
    "F": "_code",
    "C": "_call",
    "A": "_call",
    "K": "_composed",
    "M": "_method",
    "G": "_attribute",
    "L": "_items",
    "T": "_items",
    "S": "_items",
    "Z": "_items",
    "D": "_pairs",
    "=": "_let",
    "U": "_use",
    "B": "_function",
    "E": "_empty",
    "^": "_enclosing",
    "#": "_thing",
    "&": "_shared",
}


class _Inliner:
    """Puts lets back into place and numbers those that stay in the order of their first use."""

    def __init__(self, root: Node, reader: _Reader) -> None:
        self._lets = reader.lets
        self._uses = reader.uses
        self._numbers: dict[int, int] = {}
        self.tree: Node = self._rebuilt(root)

    def _rebuilt(self, value: Any) -> Any:
        if isinstance(value, Use):
            return self._used(value.number)
        if isinstance(value, tuple):
            return tuple(map(self._rebuilt, value))
        if isinstance(value, str | int | Port | Code):
            return value
        return type(value)(*(self._rebuilt(getattr(value, name)) for name in value.__slots__))

    def _used(self, number: int) -> Node:
        value = self._lets[number]
        if self._uses[number] == 1 or self._is_trivial(value):
            return self._rebuilt(value)  # type: ignore[no-any-return]
        if number in self._numbers:
            return Use(self._numbers[number])
        self._numbers[number] = len(self._numbers)
        return Let(self._numbers[number], self._rebuilt(value))

    def _is_trivial(self, value: Node) -> bool:
        if isinstance(value, Use):
            return self._uses[value.number] == 1 and self._is_trivial(self._lets[value.number])
        return isinstance(value, Port | Code)
