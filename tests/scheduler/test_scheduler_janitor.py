"""A store that functions reach and the client does not, not any more: it is emptied by an invocation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.compiler.program import Input
from graphlambda.errors import LeftoverWarning, StoreError
from graphlambda.runtime.answer import answer
from graphlambda.runtime.environment import Environment
from graphlambda.runtime.values import DROPPED, client_of
from graphlambda.runtime.wire import VERSION
from graphlambda.scheduler import Limits
from graphlambda.scheduler.janitor import ROUNDS
from graphlambda.store.guests import Guest, invited
from graphlambda.store.valkey import ValkeyStore, spec_of
from graphlambda.testing.invokers import function_error
from graphlambda.testing.programs import program_of
from graphlambda.testing.servers import valkey
from tests.scheduler.bench import THROTTLED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scheduler.bench import Bench

PROGRAM = program_of([("f", 1), ("f", Input(0))], [1])
STORED = Limits(batch=1, inline_bytes=0)


class Far:
    """A server that the client reaches by a user of its own, until that is taken from it; functions have another."""

    def __init__(self, url: str) -> None:
        self.near = spec_of(url)
        self.server = ValkeyStore(self.near)
        guest = invited(self.near)
        assert guest is not None
        self.guest: Guest = guest
        self.store = ValkeyStore(guest.spec(), told=self.near)

    def keys(self) -> list[bytes]:
        """Return what the server holds."""
        (found,) = self.server._client.server.run([(b"KEYS", b"*")])
        return sorted(map(bytes, found))


@pytest.fixture
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    with valkey(tmp_path_factory.mktemp("far") / "server") as url:
        yield Far(url)


def cut_off(bench: Bench, far: Far) -> None:
    """Have the bench's client lose its way to the store while the second task runs."""

    def cutting(number: int) -> list[int]:
        if number != 1:
            far.guest.leave()
        return [1] * 100

    bench.operations["gl-f"] = cutting
    bench.store = far.store  # type: ignore[assignment]


def test_a_client_that_no_longer_reaches_the_store_has_a_function_empty_it(bench: Bench, far: Far) -> None:
    cut_off(bench, far)
    with pytest.raises(StoreError, match=r"user pair is invalid|WRONGPASS|NOAUTH"):
        bench.run(PROGRAM, limits=STORED)
    assert far.keys() == []
    assert len(bench.inner.requests) == 3


def test_what_nobody_could_delete_is_said_with_its_end(bench: Bench, far: Far) -> None:
    cut_off(bench, far)
    asked = [
        None,
        None,
        THROTTLED,
        OSError("no route"),
        *[function_error("ValueStoreError", "is full")] * ROUNDS,
    ]
    with pytest.raises(StoreError), pytest.warns(LeftoverWarning, match="is full") as warned:
        bench.run(PROGRAM, asked, limits=STORED)
    (said,) = [str(each.message) for each in warned if each.category is LeftoverWarning]
    assert "values of run r1 are left in valkey:127.0.0.1" in said
    assert said.endswith("They expire at most 60 minutes from now.")
    assert far.keys()


def dropping(run: str, spec: dict[str, Any], seconds: float) -> Any:
    """Return what a function answers that is to drop a run."""
    request = {"v": VERSION, "drop": {"run": run, "store": spec, "seconds": seconds}}
    return answer(json.loads(json.dumps(request)), Environment("e", "f" * 64, lambda: print))


def test_a_function_that_drops_a_run_stops_in_time_and_says_what_is_left(far: Far) -> None:
    far.server.touch("r2")
    for number in range(3):
        far.server.put("r2", f"v-{number}", [b"a"])
    assert dropping("r2", far.near, 0.0) == {"v": VERSION, "left": 3}
    assert client_of(far.near).ended("r2") == DROPPED
    assert dropping("r2", far.near, 10.0) == {"v": VERSION, "left": 0}
    assert dropping("r2", far.near, 10.0) == {"v": VERSION, "left": 0}
    assert far.keys() == []
