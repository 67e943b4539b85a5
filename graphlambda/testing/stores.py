"""What an implementer of a Store needs: the contract as tests, and stores that count, delay and break.

In: a store. Out: the same store, watched or troubled. Must not keep values of its own.
"""

# A test's name is its claim.
# ruff: noqa: D102

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.errors import LostValueError, StoreError
from graphlambda.runtime import faults
from graphlambda.runtime.values import CANCELLED, CLIENT_LOST, DROPPED, LEASE_S, client_of
from graphlambda.store import Store
from graphlambda.store.claims import Owner
from graphlambda.store.namespaces import namespace_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graphlambda.runtime.frame import Buffer
    from graphlambda.runtime.values import Traffic
    from graphlambda.store.namespaces import Held

RUN, OTHER_RUN = "run-1", "run-2"

ELSEWHERE = Owner(nonce="", process=1, host="elsewhere")
"""A client of another machine: whether it lives, only the age of its leases tells."""


class StoreTests(ABC):
    """What every store promises. Inherit it in a `Test…` class and say how a fresh store is made."""

    @abstractmethod
    @pytest.fixture
    def store(self) -> Store:
        """Return an empty store."""

    @abstractmethod
    def age(self, store: Store, run: str, seconds: float) -> None:
        """Make a run's lease that much older."""

    def test_a_frame_comes_back_as_it_was_put(self, store: Store) -> None:
        for name, parts in {
            "empty": [],
            "small": [b"a", b"", b"bc"],
            "large": [bytes(range(256)) * 5000],
        }.items():
            store.touch(RUN)
            store.put(RUN, name, parts)
            assert bytes(store.get(RUN, name)) == b"".join(parts)
            assert store.size(RUN, name) == len(b"".join(parts))

    def test_what_is_got_is_the_readers_own(self, store: Store) -> None:
        store.touch(RUN)
        store.put(RUN, "v-1", [b"abc" * 50_000])
        first = store.get(RUN, "v-1")
        first[:3] = b"xyz"
        assert bytes(store.get(RUN, "v-1")) == b"abc" * 50_000

    def test_functions_and_clients_see_the_same_values(self, store: Store) -> None:
        store.touch(RUN)
        client = client_of(store.spec())
        client.write(RUN, "v-1", [b"by a function"])
        store.put(RUN, "v-2", [b"by the client"])
        assert (bytes(store.get(RUN, "v-1")), bytes(client.read(RUN, "v-2"))) == (
            b"by a function",
            b"by the client",
        )

    def test_a_function_reads_several_values_in_order_whatever_their_size(self, store: Store) -> None:
        store.touch(RUN)
        frames = [bytes([n]) * size for n, size in enumerate((3, 300_000, 9_000_000, 0, 70, 5))]
        for n, frame in enumerate(frames):
            store.put(RUN, f"v-{n}", [frame])
        client = client_of(store.spec())
        names = [f"v-{n}" for n in (5, 0, 2, 1, 4, 3)]
        assert list(map(bytes, client.read_all(RUN, names))) == [frames[int(name[2:])] for name in names]
        assert list(client.read_all(RUN, [])) == []
        with pytest.raises(faults.LostValueError) as raised:
            list(client.read_all(RUN, ["v-0", "v-9", "v-1"]))
        assert raised.value.name == "v-9"

    def test_the_first_of_many_writers_wins(self, store: Store) -> None:
        store.touch(RUN)
        frames = [bytes([n]) * 100_000 for n in range(16)]
        with ThreadPoolExecutor(8) as writers:
            list(writers.map(lambda frame: store.put(RUN, "v-1", [frame]), frames))
        first = bytes(store.get(RUN, "v-1"))
        store.put(RUN, "v-1", [b"late"])
        assert first in frames
        assert bytes(store.get(RUN, "v-1")) == first

    def test_what_it_is_asked_is_counted_as_aws_bills_it(self, store: Store) -> None:
        store.touch(RUN)
        before = store.traffic()
        store.put(RUN, "v-1", [b"once"])
        written = store.traffic()
        store.get(RUN, "v-1")
        assert sum(before) < sum(written) < sum(store.traffic())
        assert store.traffic()[0] == written[0]  # what is read is no write

    def test_a_missing_value_is_named(self, store: Store) -> None:
        store.touch(RUN)
        with pytest.raises(LostValueError, match=r"v-1.*run-1") as raised:
            store.get(RUN, "v-1")
        assert (raised.value.run, raised.value.name) == (RUN, "v-1")
        assert (store.size(RUN, "v-1"), store.exists(RUN, "v-1")) == (None, False)

    def test_nothing_can_be_put_into_a_run_that_was_not_begun_or_was_dropped(self, store: Store) -> None:
        with pytest.raises(StoreError, match=RUN):
            store.put(RUN, "v-1", [b"a"])
        store.touch(RUN)
        store.drop(RUN)
        with pytest.raises(StoreError, match=RUN):
            store.put(RUN, "v-1", [b"a"])
        assert store.runs() == {}

    def test_runs_do_not_see_each_other(self, store: Store) -> None:
        for run in (RUN, OTHER_RUN):
            store.touch(run)
            store.put(run, "v-1", [run.encode()])
        store.delete(RUN, ["v-1", "not-there"])
        assert (store.exists(RUN, "v-1"), bytes(store.get(OTHER_RUN, "v-1"))) == (False, b"run-2")
        store.drop(RUN)
        assert list(store.runs()) == [OTHER_RUN]

    def test_deleting_and_dropping_again_does_nothing(self, store: Store) -> None:
        store.touch(RUN)
        store.delete(RUN, ["v-1"])
        store.delete(OTHER_RUN, ["v-1"])
        for _ in range(2):
            store.drop(RUN)
        assert store.runs() == {}

    def test_a_run_that_nobody_renews_is_swept(self, store: Store) -> None:
        for run in (RUN, OTHER_RUN):
            store.touch(run)
            store.put(run, "v-1", [b"a"])
            self.age(store, run, 1000.0)
        store.touch(OTHER_RUN)
        assert store.sweep(older_than_s=500.0) == (RUN,)
        assert list(store.runs()) == [OTHER_RUN]

    def test_a_function_is_told_that_its_value_is_lost(self, store: Store) -> None:
        store.touch(RUN)
        with pytest.raises(faults.LostValueError) as raised:
            client_of(store.spec()).read(RUN, "v-1")
        assert raised.value.told() == {"run": RUN, "name": "v-1"}

    def test_functions_are_told_that_a_run_was_cancelled(self, store: Store) -> None:
        client = client_of(store.spec())
        for run in (RUN, OTHER_RUN):
            store.touch(run)
        store.put(RUN, "v-1", [b"a"])
        store.cancel(RUN)
        store.touch(RUN)
        assert (client.ended(RUN), client.ended(OTHER_RUN)) == (CANCELLED, "")
        assert store.exists(RUN, "v-1")

    def test_functions_are_told_that_a_client_is_lost(self, store: Store) -> None:
        client = client_of(store.spec())
        store.touch(RUN)
        self.age(store, RUN, LEASE_S + 1)
        assert client.ended(RUN) == CLIENT_LOST
        store.touch(RUN)
        assert client.ended(RUN) == ""

    def test_functions_are_told_that_a_run_was_dropped(self, store: Store) -> None:
        store.touch(RUN)
        store.cancel(RUN)
        store.drop(RUN)
        store.cancel(RUN)
        assert (client_of(store.spec()).ended(RUN), store.runs()) == (DROPPED, {})

    def test_what_lies_in_a_run_is_told_with_its_size(self, store: Store) -> None:
        assert store.values(RUN) == {}
        for run in (RUN, OTHER_RUN):
            store.touch(run)
        assert store.values(RUN) == {}
        for name, frame in {"v-1": b"a" * 10, "v-2": b"b" * 100_000, "v-3": b"c" * 9_000_000}.items():
            store.put(RUN, name, [frame])
        store.delete(RUN, ["v-1"])
        held = store.values(RUN)
        assert {name: value.size_bytes for name, value in held.items()} == {"v-2": 100_000, "v-3": 9_000_000}
        assert all(-5.0 < value.age_s < 120.0 for value in held.values())
        store.use(RUN, ["v-1", "v-2"])
        assert store.values(RUN).keys() == {"v-2", "v-3"}

    def test_what_runs_share_outlives_a_sweep_of_runs(self, store: Store) -> None:
        shared = namespace_run(bytes(32), "ours")
        for run in (RUN, shared):
            store.touch(run)
            store.put(run, "v-1", [b"a"])
            self.age(store, run, 1000.0)
        assert store.sweep(older_than_s=500.0) == (RUN,)
        assert bytes(store.get(shared, "v-1")) == b"a"

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "a/b", "../v-1", "/etc/passwd", "a.b", "a b", "ä", "a" * 129, "a\0"]
    )
    def test_a_name_that_might_lead_elsewhere_is_refused(self, store: Store, name: str) -> None:
        store.touch(RUN)
        for refused in (
            lambda: store.put(RUN, name, [b"a"]),
            lambda: store.get(name, "v-1"),
            lambda: store.size(RUN, name),
            lambda: store.delete(RUN, [name]),
            lambda: store.touch(name),
            lambda: store.cancel(name),
            lambda: store.drop(name),
        ):
            with pytest.raises(ValueError, match="is not a name"):
                refused()

    def test_the_address_names_the_kind(self, store: Store) -> None:
        assert store.address.startswith(f"{store.spec()['kind']}:")


class Passing(Store):
    """Hands every call on, after telling `before` the method's name; what a wrapper is made of."""

    def __init__(self, store: Store, before: Callable[[str], None]) -> None:
        self._store = store
        self._before = before

    @property
    def address(self) -> str:
        """Return the store's."""
        return self._store.address

    def spec(self) -> dict[str, Any]:
        """Return the store's: functions go around the wrapper."""
        return self._store.spec()

    def road(self, *, readers: int, result: bool) -> dict[str, Any]:
        """Return the store's."""
        return self._store.road(readers=readers, result=result)

    def traffic(self) -> Traffic:
        """Return the store's."""
        return self._store.traffic()

    def touch(self, run: str) -> None:
        """Begin a run, or renew its lease."""
        self._before("touch")
        self._store.touch(run)

    def put(self, run: str, name: str, parts: Sequence[Buffer]) -> None:
        """Store a frame."""
        self._before("put")
        self._store.put(run, name, parts)

    def get(self, run: str, name: str) -> memoryview:
        """Return a frame."""
        self._before("get")
        return self._store.get(run, name)

    def size(self, run: str, name: str) -> int | None:
        """Return a frame's bytes."""
        self._before("size")
        return self._store.size(run, name)

    def delete(self, run: str, names: Iterable[str]) -> None:
        """Delete values."""
        self._before("delete")
        self._store.delete(run, names)

    def values(self, run: str) -> dict[str, Held]:
        """Return what a run holds."""
        self._before("values")
        return self._store.values(run)

    def use(self, run: str, names: Iterable[str]) -> None:
        """Note that values are used."""
        self._before("use")
        self._store.use(run, names)

    def cancel(self, run: str) -> None:
        """Tell functions that the run does not go on."""
        self._before("cancel")
        self._store.cancel(run)

    def drop(self, run: str) -> None:
        """Delete a run."""
        self._before("drop")
        self._store.drop(run)

    def janitor_spec(self) -> dict[str, Any] | None:
        """Return the store's."""
        return self._store.janitor_spec()

    def room_bytes(self) -> int | None:
        """Return what could still be stored."""
        self._before("room_bytes")
        return self._store.room_bytes()

    def runs(self) -> dict[str, float]:
        """Return the runs that are there."""
        self._before("runs")
        return self._store.runs()

    def is_held(self, run: str) -> bool:
        """Whether a run's client is known to live."""
        self._before("is_held")
        return self._store.is_held(run)


class CountingStore(Passing):
    """Counts calls by method."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, self._count)
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()

    def _count(self, method: str) -> None:
        with self._lock:
            self.calls[method] += 1


class DelayStore(Passing):
    """Makes every call wait, as a network would."""

    def __init__(self, store: Store, delay_s: float) -> None:
        super().__init__(store, lambda _: time.sleep(delay_s))


class FaultyStore(Passing):
    """Fails the calls that `fails` chooses, by method and how often that method was called before."""

    def __init__(self, store: Store, fails: Callable[[str, int], bool]) -> None:
        super().__init__(store, self._fail)
        self._fails = fails
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def _fail(self, method: str) -> None:
        with self._lock:
            before = self._seen[method]
            self._seen[method] += 1
        if self._fails(method, before):
            raise StoreError(f"injected: {method} number {before} fails")
