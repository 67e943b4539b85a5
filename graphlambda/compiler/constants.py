"""Code constants: what an operation imports, ships as code, or ships as a pickled class.

In: classes and cached functions of the user's session. Out: frozen constants with a stable identity. Must not hash pickles:
their bytes differ between processes.
"""

from __future__ import annotations

import copyreg
import functools
import hashlib
import importlib
import io
import operator
import re
import types
from collections import ChainMap
from dataclasses import dataclass
from pathlib import PosixPath
from typing import Any, ClassVar, TypeAlias, TypeVar
from uuid import uuid4

import cloudpickle
from cloudpickle import cloudpickle as _cloudpickle

from graphlambda.compiler import code as codes
from graphlambda.compiler.extras import extras
from graphlambda.compiler.masks import masked
from graphlambda.errors import UnshippableError
from graphlambda.runtime.code import SENTINELS


@dataclass(frozen=True, slots=True)
class Import:
    """An object that an import gives."""

    module: str
    name: str
    """Qualified name in the module; empty for the module itself."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """The code object of a function by value."""

    fingerprint: str
    code: types.CodeType
    """Without file name and line table."""


@dataclass(frozen=True, slots=True)
class Pickled:
    """A class, or a function with a cache, by value."""

    fingerprint: str
    name: str
    blob: bytes
    """Not deterministic: never a part of an identity."""

    imports: tuple[str, ...]
    """Modules that its code names."""


CodeConstant: TypeAlias = Import | Shipped | Pickled


def by_value_class(thing: type) -> Pickled:
    """Return a class of the user's session as it travels, and make its instances come home as itself.

    Raises:
        UnshippableError: the class refers to something that does not pickle.
    """
    mark, modules = _fingerprint(thing)
    track(thing, mark)
    return Pickled(mark, thing.__name__, dumps(thing), modules)


def by_value_cached(thing: Any) -> Pickled:
    """Return a function of the user's session that `functools.lru_cache` wraps, as it travels.

    It is made once an environment, as it would be once a process: what it holds outlives a task.

    Raises:
        UnshippableError: the function refers to something that does not pickle.
    """
    mark, modules = _fingerprint(thing)
    name = thing.__name__ if thing.__name__.isidentifier() else "cached"  # of a lambda
    return Pickled(mark, name, dumps(thing), modules)


def track(thing: type, mark: str) -> None:
    """Give a class the same name in every process: what comes back as that class is this one."""
    with _cloudpickle._DYNAMIC_CLASS_TRACKER_LOCK:
        _cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS[thing] = mark
        _cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID[mark] = thing


def track_classes_in(literal: Any) -> None:
    """Track the class of a literal, and of what it plainly holds, where it is the session's own."""
    waiting, met = [literal], {id(literal)}
    while waiting:
        each = waiting.pop()
        kind = type(each)
        if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
            track(kind, _fingerprint(kind)[0])
        if kind in (list, tuple, set, frozenset, dict):
            held = {id(member): member for member in (each.values() if kind is dict else each)}
            waiting += [member for number, member in held.items() if number not in met]
            met |= held.keys()


def dumps(thing: Any, protocol: int = 5, buffer_callback: Any = None) -> bytes:
    """Pickle by value what the user's session made, without file names and line tables.

    Raises:
        UnshippableError: something in it does not pickle.
    """
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, protocol=protocol, buffer_callback=buffer_callback).dump(thing)
    except Exception as error:  # the user's `__reduce__` runs here: it may raise anything
        raise _unshippable(thing, error) from error
    return buffer.getvalue()


_SHOWN = 200
"""Characters of a thing that a message shows."""


def shown(thing: Any) -> str:
    """Return the start of how a thing shows itself, without secrets; its type where its `__repr__` raises."""
    try:
        return masked(repr(thing)[: 10 * _SHOWN])[:_SHOWN]
    except Exception:  # noqa: BLE001  (the user's code: it may raise anything)
        return f"An object of {type(thing).__module__}.{type(thing).__qualname__}"


def _unshippable(thing: Any, error: Exception) -> UnshippableError:
    return UnshippableError(
        f"{shown(thing)} cannot travel to a function: {masked(str(error))}. "
        "Make it inside the task, or hand over what it is made from."
    )


class _Caching:
    """Pickles as a call of `functools.lru_cache`: what that gives, a closure, does not pickle itself."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self._parameters = parameters

    def __call__(self, function: Any) -> Any:
        return functools.lru_cache(**self._parameters)(function)

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.lru_cache, tuple(self._parameters.values())


def _cached(function: Any) -> Any:
    """Reduce a function with a cache: what it wraps and how large the cache is, not what is in it."""
    if codes.import_reference(function) or codes.local_reference(function):
        return function.__reduce__()
    return _Caching(function.cache_parameters()), (function.__wrapped__,)


def _cached_property(thing: Any) -> Any:
    """Reduce a cached property without its lock."""
    return functools.cached_property, (thing.func,), {"attrname": thing.attrname, "__doc__": thing.__doc__}


class _Runtime:
    """Pickles as the module of our runtime that holds the sentinels, under its name in a function."""

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, ("graphlambda_runtime.code",)


def _sentinel(thing: object) -> tuple[Any, ...]:
    """Reduce a plain object to its mark: whatever un-pickles it gets the same one."""
    mark = next((mark for mark, known in SENTINELS.items() if known is thing), uuid4().hex)
    SENTINELS[mark] = thing
    return operator.methodcaller("sentinel", mark), (_Runtime(),)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    dispatch_table: ClassVar[Any] = ChainMap(
        {
            types.CodeType: lambda code: _cloudpickle._code_reduce(codes.stripped(code)),
            codes.CACHED: _cached,
            object: _sentinel,
            functools.cached_property: _cached_property,
            PosixPath: lambda path: (PosixPath, (str(path),)),  # whole, so that `paths` finds it
        },
        cloudpickle.Pickler.dispatch_table,
    )

    def _function_getnewargs(self, func: types.FunctionType) -> Any:
        """Leave out where the function's file lies: what it reads of that travels with its other globals."""
        code, names, *rest = super()._function_getnewargs(func)
        for name in ("__file__", "__path__"):
            names.pop(name, None)
        return code, names, *rest


def dumps_with_code(thing: Any) -> tuple[bytes, tuple[types.CodeType, ...]]:
    """Pickle like `dumps`; return the code objects that went into it, too.

    Raises:
        UnshippableError: something in it does not pickle.
    """
    buffer = io.BytesIO()
    pickler = _NotingPickler(buffer)
    try:
        pickler.dump(thing)
    except Exception as error:  # as in `dumps`
        raise _unshippable(thing, error) from error
    return buffer.getvalue(), tuple(pickler.met)


class _NotingPickler(_Pickler):
    """Notes the code objects that it meets."""

    def __init__(self, file: io.BytesIO) -> None:
        self.met: list[types.CodeType] = []
        self.dispatch_table = ChainMap({types.CodeType: self._note}, *_Pickler.dispatch_table.maps)  # type: ignore[misc]
        super().__init__(file, protocol=5)

    def _note(self, code: types.CodeType) -> Any:
        self.met.append(code)
        return _cloudpickle._code_reduce(codes.stripped(code))


def _fingerprint(thing: Any) -> tuple[str, tuple[str, ...]]:
    """Return the digest of a class or function, and the modules that its code names."""
    fingerprinter = _Fingerprinter()
    try:
        return fingerprinter.digest(thing), tuple(sorted(fingerprinter.modules))
    except Exception as error:  # the user's `__reduce__` runs here, too
        raise _unshippable(thing, error) from error


_ATOMS = (int, float, complex, str, bytes, type(None))
_ONLY_VALUES = (*_ATOMS, tuple, frozenset)
"""Whether two of these are one object is an accident of the process."""

_NO_FACTS = frozenset(
    {
        "__dict__",
        "__weakref__",
        "__module__",
        "__firstlineno__",
        "__static_attributes__",
        "_abc_impl",
    }
)
"""Members of a class that say nothing of what it does, or differ between processes."""


class _Fingerprinter:
    """Digests an object by structure: functions by their code and what it names, data by what it is made of."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self._numbers: dict[int, int] = {}
        self._alive: list[Any] = []

    def digest(self, thing: Any) -> str:
        return hashlib.sha256(repr(self._facts(thing)).encode()).hexdigest()

    def _facts(self, thing: Any) -> Any:
        if isinstance(thing, _ONLY_VALUES):
            return self._data_facts(thing)
        if id(thing) in self._numbers:
            return ("again", self._numbers[id(thing)])
        self._numbers[id(thing)] = len(self._numbers)
        self._alive.append(thing)
        return self._fresh_facts(thing)

    def _fresh_facts(self, thing: Any) -> Any:
        if isinstance(thing, property):
            return ("property", *map(self._facts, (thing.fget, thing.fset, thing.fdel, thing.__doc__)))
        if isinstance(thing, staticmethod | classmethod):
            return (type(thing).__name__, self._facts(thing.__func__))
        reference = codes.any_reference(thing)
        if reference is not None:
            self.modules.add(reference[0])
            return ("import", *reference)
        if isinstance(thing, type):
            return self._class_facts(thing)
        if isinstance(thing, types.FunctionType):
            return self._function_facts(thing)
        return self._data_facts(thing)

    def _class_facts(self, thing: type) -> Any:
        if thing.__module__ == "builtins":  # without a name there: `mappingproxy`, `NoneType`
            return ("built in", thing.__qualname__)
        bases = tuple(self._facts(base) for base in thing.__bases__)
        members = tuple(
            (name, self._facts(_without_addresses(name, vars(thing)[name])))
            for name in sorted(vars(thing))
            if name not in _NO_FACTS
        )
        return ("class", thing.__qualname__, self._facts(type(thing)), bases, members)

    def _function_facts(self, thing: types.FunctionType) -> Any:
        code = thing.__code__
        named = [
            (name, thing.__globals__[name]) for name in codes.global_names(code) if name in thing.__globals__
        ]
        cells = [cell.cell_contents for cell in thing.__closure__ or () if _is_full(cell)]
        values = (*cells, *(value for _, value in named))
        self.modules.update(codes.imported_names(code))
        self.modules.update(
            codes.submodules(code, (each for each in values if isinstance(each, types.ModuleType)))
        )
        return (
            "function",
            codes.fingerprint(code),
            tuple((name, self._facts(value)) for name, value in named),
            tuple(map(self._facts, cells)),
            self._facts(thing.__defaults__),
            self._facts(thing.__kwdefaults__),
            tuple((name, self._facts(value)) for name, value in extras(thing).items()),
        )

    def _data_facts(self, thing: Any) -> Any:
        if isinstance(thing, dict):
            return (
                type(thing).__name__,
                *((self._facts(key), self._facts(value)) for key, value in thing.items()),
            )
        if isinstance(thing, set | frozenset):
            return (type(thing).__name__, *sorted(map(self._text_of_member, thing)))
        if isinstance(thing, list | tuple):
            return (type(thing).__name__, *map(self._facts, thing))
        if type(thing) is object:
            return ("object",)
        if type(thing) in _ATOMS or isinstance(thing, bool):
            return (type(thing).__name__, repr(thing))
        if isinstance(thing, types.MemberDescriptorType | types.GetSetDescriptorType):
            return ("slot", thing.__name__)
        if isinstance(thing, TypeVar):
            return ("type variable", thing.__name__)
        return self._reduced_facts(thing)

    def _text_of_member(self, member: Any) -> str:
        """Return the facts of a set's member, numbered as if it were the first: sets have no order."""
        before = dict(self._numbers)
        facts = repr(self._facts(member))
        self._numbers = before
        return facts

    def _reduced_facts(self, thing: Any) -> Any:
        """Digest what pickling would make an object from: the bytes themselves differ between processes."""
        reduce = _Pickler.dispatch_table.get(type(thing)) or copyreg.dispatch_table.get(type(thing))
        reduced = reduce(thing) if reduce is not None else thing.__reduce_ex__(4)
        if isinstance(reduced, str):
            return ("global", type(thing).__qualname__, reduced)
        parts = (part if index < _FIRST_ITERATOR else list(part or ()) for index, part in enumerate(reduced))
        return (type(thing).__qualname__, *map(self._facts, parts))


_FIRST_ITERATOR = 3
"""From here on, the parts that `__reduce_ex__` returns are iterators of items."""


def _without_addresses(name: str, member: Any) -> Any:
    """Return a member of a class; its docstring as every process has it: a dataclass writes defaults into it."""
    if name != "__doc__" or not isinstance(member, str):
        return member
    return re.sub(r" at 0x[0-9a-fA-F]+", "", member)


def _is_full(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  (asked whether it has any)
    except ValueError:
        return False
    return True
