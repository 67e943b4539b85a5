"""Tables for a terminal or a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphlambda.report.tables import render

if TYPE_CHECKING:
    from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return a table whose first `left` columns are aligned to the left and all others to the right."""
    return render(heads, rows, numbers=frozenset(range(left, len(heads))), width=200)


def verdict(kept: bool) -> str:
    """Return how a bar fared."""
    return "kept" if kept else "MISSED"
