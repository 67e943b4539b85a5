"""Walk an expression of Python objects: code becomes tokens, everything else becomes leaves.

In: callables, containers, literals (and, in a subclass, a graph library's nodes). Out: a flat,
prefix-coded tuple of tokens (the signature: equal code gives equal tokens) and the leaves in the order
of their ports. Must not know Dask, call the user's code, or let a literal into the signature.

Tokens:

    P                         a port: the next leaf is bound to it
    F, constant               code: an import, a shipped code object or a pickled class
    C, n, names               a call: callable, n arguments, keyword arguments
    A, n, names               functools.partial of callable, n arguments, keywords
    K, n                      n callables, each called with the result of the one before
    M, name                   a callable that calls a method of its first argument
    G, name                   an attribute of the next expression
    L/T/S/Z, n                a list, tuple, set or frozenset of n expressions
    D, n                      a dict of n (key, value) pairs
    =                         a let: the next expression gets the next local number
    U, i                      use of local i
    #                         the next expression, a function by value or a container of code, has an identity
    B, code, c, d, names, globals, attributes, modules    a function by value: c cells, d defaults, …
    E                         an empty cell
    ^, depth                  what is marked by the `#` that is `depth` levels up (0: the innermost)
    &, things, ports          before all others: what is one object (see `individuals`)
"""

from __future__ import annotations

import functools
import marshal
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from graphlambda.compiler import code as codes
from graphlambda.compiler.constants import (
    CodeConstant,
    Import,
    Shipped,
    by_value_cached,
    by_value_class,
    shown,
)
from graphlambda.compiler.extras import extras, reads_annotations
from graphlambda.compiler.individuals import Thing, joined
from graphlambda.compiler.sharing import Sharing
from graphlambda.errors import UnshippableError

if TYPE_CHECKING:
    from graphlambda.compiler.kernels import Reference

Tokens: TypeAlias = list[Any]
Leaves: TypeAlias = list[Any]
Handler: TypeAlias = Callable[[Any, Tokens, Leaves, Any], None]

_ATOMS: frozenset[type] = frozenset(
    {int, float, complex, bool, type(None), str, bytes, slice, type(Ellipsis), range, np.ndarray}
)
_CODE_TYPES = (
    types.FunctionType,
    types.BuiltinFunctionType,
    type,
    types.MethodType,
    functools.partial,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.ModuleType,
    np.ufunc,
    type(np.sum),
    codes.CACHED,
)
_CONTAINER_TOKENS: dict[type, str] = {list: "L", tuple: "T", set: "S", frozenset: "Z"}
_OPENED_AT_MOST = 64
"""A container with code inside and more members than this travels as one pickled literal."""


class Walker:
    """Turns expressions into signatures, remembering what it has walked by identity."""

    def __init__(self, kernels: Mapping[Reference, Reference] = MappingProxyType({})) -> None:
        self.constants: list[CodeConstant] = []
        self._kernels = kernels
        self.sharing = Sharing()
        self._constant_ids: dict[Any, int] = {}
        self._seen: dict[int, tuple[tuple[Any, ...], tuple[Any, ...], tuple[Thing, ...], Any]] = {}
        self._things: list[Thing] = []
        self._with_annotations = False
        self._codes: dict[tuple[types.CodeType, str, str], tuple[int, tuple[str, ...], tuple[str, ...]]] = {}
        self._open: list[Any] = []
        self._lowest: list[int] = []
        self.handlers: dict[type, Handler] = dict.fromkeys((*_CONTAINER_TOKENS, dict), self.walk_container)
        self.handlers.update(dict.fromkeys(_ATOMS, self.walk_literal))
        self.handlers.update(dict.fromkeys(_CODE_TYPES, self.walk_code))

    def signature(self, expression: Any) -> tuple[tuple[Any, ...], Leaves]:
        """Return the signature of an expression and the leaves of its ports."""
        return self.complete(lambda tokens, leaves: self.walk(expression, tokens, leaves, None))

    def begin(self) -> None:
        """Forget what the task before held."""
        self._things = []

    def complete(self, walk: Callable[[Tokens, Leaves], None]) -> tuple[tuple[Any, ...], Leaves]:
        """Return the signature and leaves of a task that `walk` walks; twice, where its code is the first to read annotations."""
        tokens: Tokens = []
        leaves: Leaves = []
        with_annotations = self._with_annotations
        self.begin()
        walk(tokens, leaves)
        if self._with_annotations != with_annotations:
            self._seen.clear()  # walked without them
            return self.complete(walk)
        return joined(tokens, leaves, self._things) if self._things else (tuple(tokens), leaves)

    @property
    def individuals(self) -> int:
        """How many things with an identity the task has shown so far."""
        return len(self._things)

    def walk(self, thing: Any, tokens: Tokens, leaves: Leaves, scope: Any) -> None:
        """Append the tokens and leaves of one expression."""
        kind = type(thing)
        (self.handlers.get(kind) or self.learn(kind))(thing, tokens, leaves, scope)

    def learn(self, kind: type) -> Handler:
        """Choose, once a type, how its instances are walked."""
        handler = self.walk_code if issubclass(kind, type | types.FunctionType) else self.walk_literal
        self.handlers[kind] = handler
        return handler

    def walk_literal(self, thing: Any, tokens: Tokens, leaves: Leaves, _scope: Any) -> None:
        """A literal is a port: its type is no part of the operation."""
        tokens.append("P")
        leaves.append(thing)

    def walk_container(self, thing: Any, tokens: Tokens, leaves: Leaves, scope: Any) -> None:
        """A container without code is one literal; one that holds code is opened."""
        if is_plain(thing) or not (len(thing) <= _OPENED_AT_MOST and self._holds_code(thing)):
            self.walk_literal(thing, tokens, leaves, scope)
        else:
            self._remembered(thing, self._walk_members, tokens, leaves)

    def walk_code(self, thing: Any, tokens: Tokens, leaves: Leaves, _scope: Any) -> None:
        """Code is walked once an object; its literals (closure cells, defaults) are leaves each time."""
        self._remembered(thing, self._walk_callable, tokens, leaves)

    def constant(self, identity: Any, make: Callable[[], CodeConstant]) -> int:
        """Return the number of a code constant, making it at first sight."""
        number = self._constant_ids.get(identity)
        if number is None:
            number = self._constant_ids[identity] = len(self.constants)
            self.constants.append(make())
        return number

    def _remembered(
        self, thing: Any, walk: Callable[[Any, Tokens, Leaves], None], tokens: Tokens, leaves: Leaves
    ) -> None:
        if self._open and any(thing is opened for opened in self._open):
            self._walk_opened(thing, tokens)
            return
        known = self._seen.get(id(thing)) or self._known(thing, walk)
        if known[2]:
            start = len(leaves)
            self._things += (
                [Thing(each.id, each.start + start, each.width) for each in known[2]] if start else known[2]
            )
        tokens.extend(known[0])
        leaves.extend(known[1])

    def _known(
        self, thing: Any, walk: Callable[[Any, Tokens, Leaves], None]
    ) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[Thing, ...], Any]:
        tokens: Tokens = []
        leaves: Leaves = []
        depth = len(self._open)
        self._lowest.append(depth)
        outer, self._things = self._things, []
        try:
            walk(thing, tokens, leaves)
        finally:
            outer, self._things = self._things, outer
        known = (tuple(tokens), tuple(leaves), tuple(outer), thing)
        lowest = self._lowest.pop()
        if lowest >= depth:  # what refers to something further out reads differently elsewhere
            self._seen[id(thing)] = known
        elif self._lowest:
            self._lowest[-1] = min(self._lowest[-1], lowest)
        return known

    def _walk_opened(self, thing: Any, tokens: Tokens) -> None:
        level = next(i for i, opened in enumerate(self._open) if opened is thing)
        self._lowest[-1] = min(self._lowest[-1], level)
        tokens += ("^", len(self._open) - 1 - level)

    def _walk_individual(
        self, thing: Any, head: tuple[Any, ...], parts: Iterable[Any], tokens: Tokens, leaves: Leaves
    ) -> None:
        """Walk the parts of one thing with an identity, to which they may refer."""
        tokens += ("#", *head)
        place, start = len(self._things), len(leaves)
        self._things.append(Thing(id(thing), start, 0))
        self._open.append(thing)
        try:
            for part in parts:
                self._walk_captured(part, tokens, leaves)
        finally:
            self._open.pop()
        self._things[place] = Thing(id(thing), start, len(leaves) - start)

    def _holds_code(self, thing: Any) -> bool:
        """Tell whether there is code in a container, at any depth.

        Raises:
            UnshippableError: there is, and the container holds itself: it cannot be opened.
        """
        waiting, met = [thing], set()
        while waiting:
            each = waiting.pop()
            kind = type(each)
            if kind not in _CONTAINER_TOKENS and kind is not dict:
                if (self.handlers.get(kind) or self.learn(kind)) != self.walk_code:
                    continue
                if _holds_itself(thing, set(), set()):
                    raise UnshippableError(
                        f"{shown(thing)} cannot travel to a function: it holds itself, and code. "
                        "Make it inside the task."
                    )
                return True
            if id(each) not in met:
                met.add(id(each))
                waiting.extend(_members(each))
        return False

    def _walk_members(self, thing: Any, tokens: Tokens, leaves: Leaves) -> None:
        members = _spelled(thing)
        head = ("D" if type(thing) is dict else _CONTAINER_TOKENS[type(thing)], len(thing))
        if type(thing) not in (tuple, frozenset):
            self._walk_individual(thing, head, members, tokens, leaves)
            return
        tokens += head
        for member in members:
            self.walk(member, tokens, leaves, None)

    def _walk_callable(self, thing: Any, tokens: Tokens, leaves: Leaves) -> None:
        """Inline what merely wraps; import what can be imported; ship the rest by value."""
        if type(thing) is functools.partial:
            self._walk_partial(thing, tokens, leaves)
        elif (reference := codes.import_reference(thing)) is not None:
            self._walk_reference(reference, tokens)
        elif isinstance(thing, types.ModuleType):
            self._walk_reference((thing.__name__, ""), tokens)
        elif isinstance(thing, types.MethodType | types.BuiltinMethodType | types.MethodWrapperType):
            tokens += ("G", thing.__name__)
            self.walk(thing.__self__, tokens, leaves, None)
        elif isinstance(thing, types.FunctionType):
            self._walk_function(thing, tokens, leaves)
        elif isinstance(thing, type):
            self._walk_class(thing, tokens)
        elif isinstance(thing, codes.CACHED):
            self._walk_cached(thing, tokens)
        else:
            self.walk_literal(thing, tokens, leaves, None)

    def _walk_reference(self, reference: Reference, tokens: Tokens) -> None:
        reference = self._kernels.get(reference, reference)
        tokens += ("F", self.constant(reference, lambda: Import(*reference)))

    def _walk_partial(self, thing: functools.partial[Any], tokens: Tokens, leaves: Leaves) -> None:
        tokens += ("A", len(thing.args), tuple(thing.keywords))
        for part in (thing.func, *thing.args, *thing.keywords.values()):
            self.walk(part, tokens, leaves, None)

    def _walk_class(self, thing: type, tokens: Tokens) -> None:
        if thing.__module__ != "__main__" and "<locals>" not in thing.__qualname__:
            self._walk_reference((thing.__module__, thing.__qualname__), tokens)
            return
        blob = by_value_class(thing)
        tokens += ("F", self.constant(blob.fingerprint, lambda: blob))

    def _walk_cached(self, thing: Any, tokens: Tokens) -> None:
        if reference := codes.local_reference(thing):
            self._walk_reference(reference, tokens)
            return
        blob = by_value_cached(thing)
        tokens += ("F", self.constant(blob.fingerprint, lambda: blob))

    def _walk_function(self, thing: types.FunctionType, tokens: Tokens, leaves: Leaves) -> None:
        code = thing.__code__
        if kernel := self._kernel_of(thing):
            self._walk_reference(kernel, tokens)
            return
        if (reference := codes.local_reference(thing)) and codes.belongs_to_its_file(code):
            self._walk_reference(reference, tokens)
            return
        number, named, relative = self._shipped(code, thing.__globals__.get("__package__") or "")
        names = tuple(name for name in named if name in thing.__globals__)
        self.sharing.note(thing, names)
        cells = [_content(cell) for cell in thing.__closure__ or ()]
        values = [thing.__globals__[name] for name in names]
        reached = codes.submodules(code, (v for v in (*values, *cells) if isinstance(v, types.ModuleType)))
        modules = tuple(sorted({*reached, *relative}))
        defaults, keywords = thing.__defaults__ or (), thing.__kwdefaults__ or {}
        attributes = self._extras(thing)
        counts = (len(cells), len(defaults), tuple(keywords), names, tuple(attributes), modules)
        parts = (*cells, *defaults, *keywords.values(), *values, *attributes.values())
        self._walk_individual(thing, ("B", number, *counts), parts, tokens, leaves)

    def _kernel_of(self, thing: types.FunctionType) -> Reference | None:
        """Return the kernel of a function that its module holds in a `curry`, or that calls itself by what it wraps."""
        place = (thing.__globals__.get("__name__", ""), thing.__name__)
        if place not in self._kernels:
            return None
        held = getattr(sys.modules.get(place[0]), place[1], None)
        return self._kernels[place] if thing is held or thing is getattr(held, "func", None) else None

    def _extras(self, thing: types.FunctionType) -> dict[str, Any]:
        """Return what was set on a function; annotations only for code that may read them: they need imports."""
        if not self._with_annotations and reads_annotations(thing.__code__):
            self._with_annotations = True
        found = extras(thing)
        if not self._with_annotations:
            found.pop("__annotations__", None)
        return found

    def _shipped(self, code: types.CodeType, package: str) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
        """Return the constant, the global names and the relative imports of a code object, worked out once."""
        place = (code, code.co_filename, package)  # code is equal to code of another file
        known = self._codes.get(place)
        if known is None:
            mark, stripped = codes.fingerprint(code), codes.stripped(code)
            number = self.constant(mark, lambda: Shipped(mark, stripped))
            relative = codes.relative_names(code, package)
            named = (*codes.global_names(code), *(["__package__"] if relative else []))
            known = self._codes[place] = (number, named, relative)
        return known

    def _walk_captured(self, value: Any, tokens: Tokens, leaves: Leaves) -> None:
        if value is EMPTY:
            tokens.append("E")
        else:
            self.walk(value, tokens, leaves, None)


EMPTY = object()


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return EMPTY


def _spelled(container: Any) -> Any:
    """Return what is walked of a container, in its order."""
    return (part for pair in container.items() for part in pair) if type(container) is dict else container


def _members(container: Any) -> list[Any]:
    return [*container.keys(), *container.values()] if type(container) is dict else list(container)


def _holds_itself(thing: Any, outer: set[int], done: set[int]) -> bool:
    """Tell whether a container is a member of itself, or of what it holds; `outer` are those around it."""
    if type(thing) not in _CONTAINER_TOKENS and type(thing) is not dict:
        return False
    if id(thing) in outer or id(thing) in done:
        return id(thing) in outer
    outer.add(id(thing))
    found = any(_holds_itself(member, outer, done) for member in _members(thing))
    outer.discard(id(thing))
    done.add(id(thing))
    return found


def is_plain(thing: Any) -> bool:
    """Tell whether a container holds nothing but plain data, at C speed where it can."""
    if type(thing) is not dict and _ATOMS.issuperset(map(type, thing)):
        return True
    try:
        marshal.dumps(thing)
    except ValueError:
        return False
    return True
