"""A path that a graph names is found in whichever row, and however deep, it stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from graphlambda.compiler.paths import local_paths
from graphlambda.compiler.program import Constant, Literal, Literals, Mixed

if TYPE_CHECKING:
    from collections.abc import Callable


class Reader:
    def __init__(self, path: str) -> None:
        self.path = path


NAMING: dict[str, Callable[[str], Any]] = {
    "text": lambda text: text,
    "path": Path,
    "URL": lambda text: f"file://{text}",
    "tuple": lambda text: (0, (1, text)),
    "list of dicts": lambda text: [{"k": text}, {text: 1}],
    "dict": lambda text: {1: [text]},
    "nested deeply": lambda text: [[[[[[[[[[text]]]]]]]]]],
    "object": Reader,
}

NAMELESS = [1, None, 2.5, slice(0, 4), (0, (1, 2)), np.int64(3), np.zeros(3), [None, [True]], b"bytes"]


@pytest.mark.parametrize("naming", NAMING.values(), ids=NAMING)
@pytest.mark.parametrize("first", NAMELESS, ids=repr)
def test_a_path_in_a_later_row_is_found(tmp_path: Path, first: Any, naming: Callable[[str], Any]) -> None:
    named = naming(str(tmp_path))
    assert local_paths([Literals([first, first, named])], []) == (str(tmp_path),)
    assert local_paths([Mixed((Literal(first), Literal(named)))], []) == (str(tmp_path),)


@pytest.mark.parametrize("literal", NAMELESS, ids=repr)
def test_what_holds_no_text_names_nothing(literal: Any) -> None:
    assert local_paths([Literals([literal, literal]), Literals([]), Constant(literal)], []) == ()


def test_a_list_that_holds_itself_is_looked_at_once(tmp_path: Path) -> None:
    circle: list[Any] = [str(tmp_path)]
    circle.append(circle)
    empty: list[Any] = []
    empty.append(empty)
    assert local_paths([Constant(circle), Literals([empty, circle])], []) == (str(tmp_path),)
