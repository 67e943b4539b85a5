"""Write an operation as a small Python module that a person can read.

In: a tree in normal form and the code constants. Out: the text of `operation.py`, the table of
`code.bin`, the modules that both import. Once per operation. Must not run any of it.

One call a line, imports at the top, ports as `p0, p1, …`: what a task computes is what stands there.
"""

from __future__ import annotations

import builtins
import keyword
import marshal
import re
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeAlias

from graphlambda.compiler import code as codes
from graphlambda.compiler.constants import CodeConstant, Import, Pickled, Shipped
from graphlambda.compiler.kernels import imports_of
from graphlambda.compiler.operators import applied_by
from graphlambda.compiler.spent import without_spent
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
    Own,
    Pairs,
    Partial,
    Port,
    Use,
    circular,
    lets_in,
)

Keywords: TypeAlias = tuple[tuple[str, str], ...]
_OWN = {"operation", "load", "function", "fill", "MISSING", "module", "method", "compose", "partial", "own"}
"""Names that the text itself gives a meaning."""

_NUMBERED = re.compile(r"(p|v|shared)[0-9]+")
_LINE = 60
"""Characters of an operand: a line of more is hard to read."""

_EMPTY = {"L": "[]", "S": "set()", "D": "{}"}
_ADD = {"L": "extend", "S": "update", "D": "update"}
_BRACKETS = {"L": ("[", "]"), "S": ("{", "}"), "Z": ("frozenset([", "])")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """One operation as text and code."""

    source: str
    code: bytes
    """`code.bin`, or empty."""

    imports: tuple[str, ...]
    """Modules, sorted."""

    words: tuple[str, ...]
    """What the operation calls, innermost first: for its name."""


def emit(tree: Node, ports: int, constants: list[CodeConstant], headline: str) -> Emitted:
    """Return the module of an operation."""
    writer = _Writer(constants, {let.number: let.value for let in lets_in(tree)})
    result = writer.expression(tree)
    arguments = ", ".join(f"p{number}" for number in range(ports))
    body = without_spent([*writer.lines, f"return {result}"])
    head = "\n".join(writer.imports())
    text = f'"""{headline}"""\n\n{head}\n\n\ndef operation({arguments}):\n' + "".join(
        f"    {line}\n" for line in body
    )
    return Emitted(
        source=text.replace("\n\n\n\n\n", "\n\n\n"),
        code=marshal.dumps(writer.table) if writer.table else b"",
        imports=tuple(sorted(writer.modules)),
        words=tuple(writer.words),
    )


class _Writer:
    def __init__(self, constants: list[CodeConstant], lets: dict[int, Node]) -> None:
        self.lines: list[str] = []
        self.table: dict[str, Any] = {}
        self.modules: set[str] = set()
        self.words: list[str] = []
        self._constants = constants
        self._names: dict[int, str] = {}
        self._taken = set(keyword.kwlist) | set(dir(builtins)) | _OWN
        self._from: dict[str, list[str]] = {}
        self._plain: dict[str, None] = {}
        self._attributes: list[str] = []
        self._helpers: set[str] = set()
        self._shared: dict[int, str] = {}
        self._lets = lets
        self._circular = circular(lets)
        self._values = 0

    def imports(self) -> list[str]:
        """Return the lines above the function."""
        helpers = sorted(self._helpers | ({"load"} if self.table else set()))
        lines = [f"import {module}" for module in sorted(self._plain)]
        lines += [
            f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(self._from.items())
        ]
        if helpers:
            lines.append(f"from graphlambda_runtime.code import {', '.join(helpers)}")
        if self._attributes:
            lines += ["", *self._attributes]
        if self.table:
            names = ", ".join(self.table) + ("," if len(self.table) == 1 else "")
            lines += ["", f"{names} = load(__file__, {', '.join(map(repr, self.table))})"]
        return lines

    def expression(self, node: Any) -> str:
        """Return the text of an expression, writing the lines that must come before it."""
        return getattr(self, f"_{type(node).__name__.lower()}")(node)  # type: ignore[no-any-return]

    def _port(self, node: Port) -> str:
        return f"p{node.number}"

    def _code(self, node: Code) -> str:
        return self._constant(node.constant)

    def _call(self, node: Call) -> str:
        return self._assign(self._computed(node))

    def _computed(self, node: Call) -> str:
        """Return the text of a call; that of an operator holds its operands' as far as a line does."""
        if applied := applied_by(node, self._constants):
            symbol, word = applied
            operands = self._operands(node.arguments)
            self.words.append(word)
            return f" {symbol} ".join(operands) if len(operands) > 1 else symbol + operands[0]
        arguments = tuple(map(self.expression, node.arguments))
        keywords = tuple((name, self.expression(value)) for name, value in node.keywords)
        return self._called(node.called, arguments, keywords)

    def _operands(self, nodes: tuple[Node, ...]) -> list[str]:
        """Return the texts of operands, which are computed in their order: a line that one needs comes after the others."""
        operands: list[str] = []
        for node in nodes:
            at = len(self.lines)
            operand = self._operand(node)
            if len(self.lines) > at:
                operands = [self._kept(text, at) for text in operands]
            operands.append(operand)
        return operands

    def _operand(self, node: Node) -> str:
        """Return an operand's text: a call's own, if it is short; nothing but the expression holds its value then."""
        if not isinstance(node, Call):
            return self.expression(node)
        text = self._computed(node)
        if len(text) > _LINE:
            return self._assign(text)
        return f"({text})" if applied_by(node, self._constants) else text

    def _kept(self, text: str, at: int) -> str:
        """Give what an operand computes a name, in the line `at`."""
        if text.isidentifier():
            return text
        name = self._assign(text)
        self.lines.insert(at, self.lines.pop())
        return name

    def _called(self, called: Node, arguments: tuple[str, ...], keywords: Keywords) -> str:
        if isinstance(called, Partial):
            first = tuple(map(self.expression, called.arguments))
            named = {name: self.expression(value) for name, value in called.keywords} | dict(keywords)
            return self._called(called.called, first + arguments, tuple(named.items()))
        if isinstance(called, Composed):
            text = self._called(called.parts[0], arguments, keywords)
            for part in called.parts[1:]:
                text = self._called(part, (self._assign(text),), ())
            return text
        if isinstance(called, Method) and arguments and called.name.isidentifier():
            self.words.append(called.name)
            return f"{arguments[0]}.{called.name}({_listed(arguments[1:], keywords)})"
        return f"{self.expression(called)}({_listed(arguments, keywords)})"

    def _partial(self, node: Partial) -> str:
        self._from.setdefault("functools", [])
        if "partial" not in self._from["functools"]:
            self._from["functools"].append("partial")
        called = self.expression(node.called)
        arguments = tuple(map(self.expression, node.arguments))
        keywords = tuple((name, self.expression(value)) for name, value in node.keywords)
        return f"partial({_listed((called, *arguments), keywords)})"

    def _composed(self, node: Composed) -> str:
        self._helpers.add("compose")
        return f"compose({', '.join(map(self.expression, node.parts))})"

    def _method(self, node: Method) -> str:
        self._helpers.add("method")
        self.words.append(node.name)
        return f"method({node.name!r})"

    def _attribute(self, node: Attribute) -> str:
        self.words.append(node.name)
        return f"{self.expression(node.of)}.{node.name}"

    def _items(self, node: Items) -> str:
        members = [self.expression(member) for member in node.members]
        if node.kind == "T":
            return f"({', '.join(members)}{',' if len(members) == 1 else ''})"
        if node.kind == "S" and not members:
            return "set()"
        start, end = _BRACKETS[node.kind]
        return f"{start}{', '.join(members)}{end}"

    def _pairs(self, node: Pairs) -> str:
        return "{" + ", ".join(f"{self.expression(k)}: {self.expression(v)}" for k, v in node.members) + "}"

    def _own(self, node: Own) -> str:
        self._helpers.add("own")
        return self._assign(f"own({self.expression(node.of)})")

    def _let(self, node: Let) -> str:
        return self._of_let(node.number)

    def _use(self, node: Use) -> str:
        return self._of_let(node.number)

    def _of_let(self, number: int) -> str:
        if number not in self._shared:
            value = self._lets[number]
            if number in self._circular:
                self._circle(number, value)
            else:
                text = self.expression(value)
                if not text.isidentifier():  # a variable already needs no second name
                    text = self._set(f"shared{number}", text)
                self._shared[number] = text
        return self._shared[number]

    def _set(self, variable: str, text: str) -> str:
        self.lines.append(f"{variable} = {text}")
        return variable

    def _circle(self, number: int, value: Node) -> None:
        """Make a thing that refers to itself: first it exists, then it is filled."""
        if isinstance(value, Function):
            code = self._constant(value.constant)
            self._helpers |= {"function", "fill"}
            self._shared[number] = self._set(
                self._unused(code.removesuffix("_code")), f"function({code}, {{}})"
            )
            self._fill(value, "fill", self._shared[number])
        elif isinstance(value, Pairs | Items):
            kind = "D" if isinstance(value, Pairs) else value.kind
            self._shared[number] = self._set(f"shared{number}", _EMPTY[kind])
            self.lines.append(f"shared{number}.{_ADD[kind]}({self.expression(value)})")

    def _emptycell(self, _node: EmptyCell) -> str:
        self._helpers.add("MISSING")
        return "MISSING"

    def _function(self, node: Function) -> str:
        """Make the function on a line of its own."""
        self._helpers.add("function")
        code = self._constant(node.constant)
        return self._fill(node, self._unused(code.removesuffix("_code")) + " = function", code)

    def _fill(self, node: Function, call: str, first: str) -> str:
        """Call what takes a function's parts; then set what was set on the function."""
        self._plain.update(dict.fromkeys(node.modules))
        self.modules.update(node.modules)
        closure = self._tuple(node.closure)
        defaults = self._tuple(node.defaults)
        keywords = self._dict(node.keywords)
        parts = (first, self._dict(node.names), defaults, keywords, closure)
        attributes = [(name, self.expression(value)) for name, value in node.attributes]
        self.lines.append(f"{call}({', '.join(_trimmed(parts))})")
        variable = call.partition(" ")[0] if "=" in call else first
        for name, text in attributes:
            plain = _is_name(name)
            self.lines.append(
                f"{variable}.{name} = {text}" if plain else f"setattr({variable}, {name!r}, {text})"
            )
        return variable

    def _tuple(self, values: tuple[Node, ...]) -> str:
        return "(" + "".join(f"{self.expression(value)}, " for value in values) + ")"

    def _dict(self, values: tuple[tuple[str, Node], ...]) -> str:
        return "{" + ", ".join(f"{name!r}: {self.expression(value)}" for name, value in values) + "}"

    def _constant(self, number: int) -> str:
        if number not in self._names:
            self._names[number] = self._introduced(self._constants[number])
        name = self._names[number]
        self.words.append(name.removesuffix("_code"))
        return name

    def _introduced(self, constant: CodeConstant) -> str:
        if isinstance(constant, Import):
            return self._imported(constant)
        if isinstance(constant, Pickled):
            self.modules.update(constant.imports)
            self.modules.add("cloudpickle")
            name = self._unused(constant.name)
            self.table[name] = constant.blob
            return name
        return self._shipped(constant)

    def _shipped(self, constant: Shipped) -> str:
        self.modules.update(codes.imported_names(constant.code))
        name = self._unused(_identifier(constant.code.co_name) + "_code")
        self.table[name] = constant.code
        return name

    def _imported(self, constant: Import) -> str:
        self.modules.update(imports_of(constant.module))
        if constant.module == "builtins" and hasattr(builtins, constant.name):
            return constant.name
        if not constant.name:
            return self._module(constant.module)
        first, *rest = constant.name.split(".")
        name = self._unused(first)
        self._from.setdefault(constant.module, []).append(first if name == first else f"{first} as {name}")
        if not rest:
            return name
        whole = self._unused("_".join(constant.name.split(".")))
        self._attributes.append(f"{whole} = {'.'.join([name, *rest])}")
        return whole

    def _module(self, module: str) -> str:
        if "." not in module:
            name = self._unused(module)
            self._plain[module if name == module else f"{module} as {name}"] = None
            return name
        name = self._unused(module.replace(".", "_"))
        self._helpers.add("module")
        self._attributes.append(f"{name} = module({module!r})")
        return name

    def _assign(self, text: str) -> str:
        name = f"v{self._values}"
        self._values += 1
        self.lines.append(f"{name} = {text}")
        return name

    def _unused(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._taken or _NUMBERED.fullmatch(name):
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name


def _listed(arguments: tuple[str, ...], keywords: Keywords) -> str:
    """Spell arguments out, in their order: from the first odd name on, keywords come as a dict."""
    plain = list(takewhile(lambda pair: _is_name(pair[0]), keywords))
    odd = [f"{name!r}: {text}" for name, text in keywords[len(plain) :]]
    named = [f"{name}={text}" for name, text in plain]
    return ", ".join([*arguments, *named, *(["**{" + ", ".join(odd) + "}"] if odd else [])])


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _trimmed(parts: tuple[str, ...]) -> list[str]:
    """Leave out empty arguments at the end: the reader need not see them."""
    kept = list(parts)
    while len(kept) > 2 and kept[-1] in ("()", "{}"):
        kept.pop()
    return kept


def _identifier(name: str) -> str:
    return name if name.isidentifier() else name.strip("<>").replace("<", "").replace(">", "")
