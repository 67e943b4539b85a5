"""What local functions get from a session: paths that are added and stay, an identity while a run needs it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dask import delayed

import graphlambda
from graphlambda.api.surroundings import Identity, Surroundings
from graphlambda.compiler import compile_collections
from graphlambda.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Noted:
    """A local Lambda that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def set_visible(self, paths: Iterable[Path]) -> None:
        self.told.append(list(paths))

    def set_identity(self, variables: Mapping[str, str]) -> None:
        self.told.append(dict(variables))


def identified() -> Identity:
    return Identity({"AWS_SESSION_TOKEN": "t"}, time.time() + 3600)


def plain() -> Any:
    return compile_collections(delayed(len)([1]))


def with_aws() -> Any:
    def fetch() -> str:
        import botocore

        return str(botocore.__version__)

    return compile_collections(delayed(fetch)())


def test_paths_are_added_and_stay() -> None:
    local = Noted()
    surroundings = Surroundings(local, identified)  # type: ignore[arg-type]
    for paths in ([Path("/a")], [Path("/b")], [Path("/a")]):
        with surroundings.given(plain(), paths):
            pass
    assert local.told == [[Path("/a")], [Path("/a"), Path("/b")]]


def test_an_identity_is_there_while_a_run_needs_it_and_asked_for_once() -> None:
    local = Noted()
    surroundings = Surroundings(local, identified)  # type: ignore[arg-type]
    needing, other = with_aws(), plain()
    with surroundings.given(needing, ()), surroundings.given(other, ()), surroundings.given(needing, ()):
        pass
    with surroundings.given(other, ()):
        pass
    assert local.told == [{"AWS_SESSION_TOKEN": "t"}, {}]


def test_a_run_that_found_no_identity_does_not_keep_that_of_later_ones() -> None:
    local = Noted()
    found: list[Identity | StoreError] = [StoreError("no session"), identified()]

    def identify() -> Identity:
        given = found.pop(0)
        if isinstance(given, StoreError):
            raise given
        return given

    surroundings = Surroundings(local, identify)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="no session"), surroundings.given(with_aws(), ()):
        pass
    for program in (with_aws(), plain()):
        with surroundings.given(program, ()):
            pass
    assert local.told == [{"AWS_SESSION_TOKEN": "t"}, {}]


def test_an_identity_does_not_show_in_a_repr() -> None:
    assert "AWS" not in repr(identified())


def test_two_threads_read_their_own_files_at_once(tmp_path: Path) -> None:
    def read(path: str, number: int) -> str:
        return f"{Path(path).read_text()}{number}"

    found: dict[str, tuple[Any, ...]] = {}

    def work(name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "file.txt").write_text(name)
        found[name] = graphlambda.compute(
            *[delayed(read)(str(folder / "file.txt"), i) for i in range(6)], batch=1
        )

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert found == {name: tuple(f"{name}{i}" for i in range(6)) for name in ("one", "two")}


@pytest.mark.parametrize("first", [None, "x"])
def test_a_path_in_any_row_is_seen(tmp_path: Path, first: str | None) -> None:
    file = tmp_path / "file.txt"
    file.write_text("seen")

    def read(path: str | None) -> str:
        return Path(path).read_text() if path and path != "x" else ""

    assert graphlambda.compute(*[delayed(read)(path) for path in (first, str(file))]) == ("", "seen")
