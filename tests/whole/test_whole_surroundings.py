"""What local functions get from a session: paths that are added and stay, an identity while a run needs it."""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.credentials import ReadOnlyCredentials
from dask import delayed

import graphlambda
from graphlambda.api.surroundings import AwsIdentity, Identity, Surroundings
from graphlambda.compiler import compile_collections
from graphlambda.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


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


class Waited(Noted):
    """One that says when it is told something."""

    def __init__(self) -> None:
        super().__init__()
        self.said: queue.Queue[Mapping[str, str]] = queue.Queue()

    def set_identity(self, variables: Mapping[str, str]) -> None:
        self.said.put(dict(variables))


def test_an_identity_that_would_end_under_a_run_is_renewed_and_what_fails_is_tried_again() -> None:
    local = Waited()

    def life(token: str, seconds: float) -> Identity:
        return Identity({"AWS_SESSION_TOKEN": token}, time.time() + 900 + seconds)

    def refused() -> Identity:
        raise StoreError("no session")

    found: list[Callable[[], Identity]] = [
        lambda: life("first", 0.05),
        refused,
        lambda: life("second", 0.05),
        lambda: life("third", 3600),
    ]

    def identify() -> Identity:
        return found.pop(0)()

    surroundings = Surroundings(local, identify, always=True, again_s=0.01)  # type: ignore[arg-type]
    with surroundings.given(plain(), ()), surroundings.given(plain(), ()):
        told = [local.said.get(timeout=30)["AWS_SESSION_TOKEN"] for _ in range(3)]
    assert (told, found) == (["first", "second", "third"], [])
    assert surroundings._renewal is None


class Renewing:
    """Credentials that botocore makes anew before they end."""

    def __init__(self) -> None:
        self.asked = 0

    def refresh_needed(self, _refresh_in: float | None = None) -> bool:
        return True

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        self.asked += 1
        return ReadOnlyCredentials("ASIA", "s3cr3t", f"token {self.asked}")


def test_credentials_that_botocore_renews_are_found_once_and_asked_for_each_time() -> None:
    finds: list[int] = []

    def find(_region: str) -> Renewing:
        finds.append(1)
        return Renewing()

    identify = AwsIdentity("us-east-1", find)
    assert [identify().variables["AWS_SESSION_TOKEN"] for _ in range(2)] == ["token 1", "token 2"]
    assert finds == [1]


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
