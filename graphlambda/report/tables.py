"""A program's operations as a plain-text table.

In: a program, and by operation id its function and the size of its artifact. Out: text. Must not print.
"""

from __future__ import annotations

import re
from collections import Counter
from textwrap import wrap
from typing import TYPE_CHECKING

from graphlambda.report.units import size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphlambda.compiler.program import Program

_HEADS = ("operation", "function", "tasks", "artifact", "set")
_NUMBERS = {2, 3}
"""Columns that are aligned to the right."""

_UNKNOWN = "-"


def operations_table(
    program: Program, functions: Mapping[str, str], artifact_bytes: Mapping[str, int], *, width: int = 110
) -> str:
    """Return a line an operation, and below what each requirement set holds: many operations share one.

    An operation may have several tables: its tasks are those of all. What is not known of it is a dash.
    `width` bounds the sets, which are wrapped between requirements.
    """
    operations = {table.operation.id: table.operation for table in program.tables}
    tasks = Counter[str]()
    for table in program.tables:
        tasks[table.operation.id] += len(table.tasks)
    sets = _numbered(program.requirements.get(each) for each in operations)
    rows = [
        (
            operation.name,
            functions.get(each, _UNKNOWN),
            f"{tasks[each]:,}",
            size(artifact_bytes[each]) if each in artifact_bytes else _UNKNOWN,
            sets.get(program.requirements.get(each), _UNKNOWN),
        )
        for each, operation in operations.items()
    ]
    lines = render(_HEADS, rows, numbers=_NUMBERS, width=width)
    return "\n".join([lines, "", _legend(sets, width)]) if sets else lines


def _numbered(found: Iterable[tuple[str, ...] | None]) -> dict[tuple[str, ...] | None, str]:
    """Return a letter for each different set, in the order in which they are met."""
    known = dict.fromkeys(each for each in found if each is not None)
    return {each: _letter(number) for number, each in enumerate(known)}


def _letter(number: int) -> str:
    """Return A, B, …, Z, A1, B1, …."""
    rounds, letter = divmod(number, 26)
    return chr(ord("A") + letter) + (str(rounds) if rounds else "")


def _legend(sets: Mapping[tuple[str, ...] | None, str], width: int) -> str:
    rows = [(letter, _requirements(each or ())) for each, letter in sets.items()]
    return render(("set", "holds"), rows, numbers=frozenset(), width=width)


def render(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: set[int] | frozenset[int], width: int
) -> str:
    """Return a table with a ruled head; columns in `numbers` to the right, the last column wrapped."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    widths[-1] = min(widths[-1], max(20, width - sum(widths[:-1]) - 2 * (len(widths) - 1)))
    rule = ["─" * cells for cells in widths]
    lines = [line for row in (heads, rule, *rows) for line in _lines(row, widths, numbers)]
    return "\n".join(lines)


def _requirements(requirements: Sequence[str]) -> str:
    """Return `numpy 2.4.6, pandas 3.1.1`; `standard library` where there are none."""
    return ", ".join(each.replace("==", " ") for each in requirements) or "standard library"


def _lines(row: Sequence[str], widths: Sequence[int], numbers: set[int] | frozenset[int]) -> list[str]:
    *cells, last = row
    wrapped = _wrap(last, widths[-1]) if len(widths) - 1 not in numbers else [last.rjust(widths[-1])]
    padded = [
        cell.rjust(cells_wide) if column in numbers else cell.ljust(cells_wide)
        for column, (cell, cells_wide) in enumerate(zip(cells, widths, strict=False))
    ]
    blank = [" " * cells_wide for cells_wide in widths[:-1]]
    starts = [padded, *[blank] * (len(wrapped) - 1)]
    return ["  ".join([*start, part]).rstrip() for start, part in zip(starts, wrapped, strict=True)]


def _wrap(text: str, width: int) -> list[str]:
    """Wrap between requirements, never within `numpy 2.4.6`."""
    glued = re.sub(r"(?<!,) ", "\N{NO-BREAK SPACE}", text)
    lines = wrap(glued, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines] or [""]
