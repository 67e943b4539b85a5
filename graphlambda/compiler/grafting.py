"""Grafting: two expression trees become one, the value of the one standing at a port of the other.

In: trees in normal form. Out: a tree in normal form, whose ports keep their order. Must not look at what is bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphlambda.compiler.trees import Code, Items, Let, Own, Port, Use, ports_in

if TYPE_CHECKING:
    from graphlambda.compiler.trees import Node


def grafted(stem: Node, port: int, shoot: Node, ports: int) -> Node:
    """Return the tree that computes `stem` with the value of `shoot` at a port, in whose place stand its `ports`."""
    return _Grafter(stem, port, Own(shoot), ports).tree


def gathered(stem: Node, port: int, shoot: Node, ports: int, count: int) -> Node:
    """Return the tree that computes `stem` with a list of `count` values of `shoot` at a port, each with `ports` of its own."""
    members: Node = Items("L", tuple(map(Port, range(count))))
    for number in reversed(range(count)):
        members = grafted(members, number, shoot, ports)
    return _Grafter(stem, port, members, count * ports).tree


class _Grafter:
    """Rebuilds both trees; lets are numbered in the order of their first use."""

    def __init__(self, stem: Node, port: int, shoot: Node, ports: int) -> None:
        self._port = port
        self._shoot = shoot
        self._ports = ports
        self._once = list(ports_in(stem)).count(port) == 1
        self._numbers: dict[tuple[str, int], int] = {}
        self.tree: Node = self._rebuilt(stem, "stem")

    def _rebuilt(self, value: Any, side: str) -> Any:
        match value:
            case tuple():
                return tuple(self._rebuilt(member, side) for member in value)
            case str() | int() | Code():
                return value
            case Port(number):
                return self._at_port(number, side)
            case Let(number, inner):
                return Let(self._number(side, number), self._rebuilt(inner, side))
            case Use(number):
                return Use(self._number(side, number))
        return type(value)(*(self._rebuilt(getattr(value, name), side) for name in value.__slots__))

    def _at_port(self, number: int, side: str) -> Node:
        if side == "shoot":
            return Port(self._port + number)
        if number != self._port:
            return Port(number if number < self._port else number + self._ports - 1)
        if self._once:
            return self._rebuilt(self._shoot, "shoot")  # type: ignore[no-any-return]
        if ("graft", 0) in self._numbers:
            return Use(self._numbers["graft", 0])
        return Let(self._number("graft", 0), self._rebuilt(self._shoot, "shoot"))

    def _number(self, side: str, number: int) -> int:
        return self._numbers.setdefault((side, number), len(self._numbers))
