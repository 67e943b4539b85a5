"""A run, its store, and functions that answer its requests."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from graphlambda.store import FileStore
from graphlambda.testing.bare import BareFunction, Requests, lay_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

RUN, KEY = "run-1", bytes(range(32))


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    made = FileStore(tmp_path / "values")
    made.touch(RUN)
    return made


@pytest.fixture
def requests(store: FileStore) -> Requests:
    return Requests(store=store, run=RUN, keys={RUN: KEY})


@pytest.fixture
def function(tmp_path: Path) -> Iterator[Callable[..., BareFunction]]:
    """Start environments: `function(source, files={path: text}, layers=[folder], variables={…})`."""
    with ExitStack() as started:

        def start(
            source: str,
            *,
            files: Mapping[str, str] | None = None,
            layers: Sequence[Path] = (),
            variables: Mapping[str, str] | None = None,
        ) -> BareFunction:
            folder = lay_out(tmp_path / f"task-{len(list(tmp_path.iterdir()))}", source, files)
            return started.enter_context(BareFunction(folder, layers, variables or {}))

        yield start
