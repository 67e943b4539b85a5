"""The nodes of an expression tree: what an operation computes, of ports and code.

In: nothing. Out: frozen nodes, and what a tree holds. Must not know signatures, tasks or text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Port:
    """Port `number` of the operation."""

    number: int


@dataclass(frozen=True, slots=True)
class Code:
    """A code constant by number."""

    constant: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call; keyword arguments in the order in which they are given."""

    called: Node
    arguments: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Partial:
    """`functools.partial(called, *arguments, **keywords)`."""

    called: Node
    arguments: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Composed:
    """Each callable gets the result of the one before."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Method:
    """A callable that calls method `name` of its first argument."""

    name: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """Attribute `name` of an object."""

    name: str
    of: Node


@dataclass(frozen=True, slots=True)
class Items:
    """A list (L), tuple (T), set (S) or frozenset (Z)."""

    kind: str
    members: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    """A dict."""

    members: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function by value."""

    constant: int
    closure: tuple[Node, ...]
    defaults: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...]
    names: tuple[tuple[str, Node], ...]
    """Its globals."""

    attributes: tuple[tuple[str, Node], ...]
    """What was set on it."""

    modules: tuple[str, ...]
    """Submodules that it reaches through modules among its globals."""


@dataclass(frozen=True, slots=True)
class EmptyCell:
    """A closure cell without a value."""


@dataclass(frozen=True, slots=True)
class Let:
    """A value with more than one use: computed here, for the first. One that uses itself is a function or container."""

    number: int
    value: Node


@dataclass(frozen=True, slots=True)
class Use:
    """A later use of a let."""

    number: int


@dataclass(frozen=True, slots=True)
class Own:
    """A value as another task would get it: a copy, where what is done to it could be seen elsewhere."""

    of: Node


Node: TypeAlias = (
    Port
    | Code
    | Call
    | Partial
    | Composed
    | Method
    | Attribute
    | Items
    | Pairs
    | Function
    | EmptyCell
    | Let
    | Use
    | Own
)


def nodes_in(tree: Node) -> Iterator[Node]:
    """Yield the nodes of a tree in order, each before those that it holds, repeats included."""
    waiting: list[Any] = [tree]
    while waiting:
        part = waiting.pop()
        kind = type(part)
        if kind is tuple:
            waiting += part[::-1]
        elif kind is not int and kind is not str:
            yield part
            waiting += [getattr(part, name) for name in kind.__slots__[::-1]]


def constants_in(tree: Node) -> Iterator[int]:
    """Yield the numbers of the code constants in a tree."""
    return (node.constant for node in nodes_in(tree) if isinstance(node, Code | Function))


def ports_in(tree: Node) -> Iterator[int]:
    """Yield the numbers of the ports in a tree."""
    return (node.number for node in nodes_in(tree) if isinstance(node, Port))


def lets_in(tree: Node) -> Iterator[Let]:
    """Yield the lets in a tree."""
    return (node for node in nodes_in(tree) if isinstance(node, Let))


def uses_in(tree: Node) -> Iterator[int]:
    """Yield the numbers of the lets that a tree uses, those inside it included."""
    return (node.number for node in nodes_in(tree) if isinstance(node, Let | Use))


def calls_in(tree: Node) -> Iterator[Call]:
    """Yield the calls in a tree."""
    return (node for node in nodes_in(tree) if isinstance(node, Call))


def circular(lets: dict[int, Node]) -> set[int]:
    """Return the lets that use themselves, or one that uses them."""
    uses = {number: set(uses_in(value)) for number, value in lets.items()}
    found = set()
    for number in lets:
        met: set[int] = set()
        waiting = list(uses[number])
        while waiting:
            each = waiting.pop()
            if each not in met:
                met.add(each)
                waiting += uses[each]
        if number in met:
            found.add(number)
    return found
