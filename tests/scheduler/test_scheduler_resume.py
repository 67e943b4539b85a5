"""A run whose client died: its journal, who may go on with it, and what is run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphlambda.errors import (
    AuthenticationError,
    DeadlineError,
    NoSuchRunError,
    ResumeWarning,
    RunLostError,
    StoreError,
)
from graphlambda.prices import Size
from graphlambda.report import Tally
from graphlambda.report.board import Board
from graphlambda.scheduler import Limits
from graphlambda.scheduler.journal import (
    Record,
    charged,
    committed,
    lost,
    records_of,
    replaced,
    segment,
    spent,
    started,
    unsent,
)
from graphlambda.scheduler.keeper import saved
from graphlambda.scheduler.order import ranks
from graphlambda.scheduler.replay import replay
from graphlambda.scheduler.state import RunState
from graphlambda.scheduler.values import Place, Values
from graphlambda.store.claims import CLAIM_S, LEASE, Lease, take, this_client
from graphlambda.store.claims import lost as lost_run
from graphlambda.store.file import FileStore
from graphlambda.store.folders import DiskFolder, DiskFolders, Folder
from graphlambda.testing.clock import FakeClock
from graphlambda.testing.programs import program_of, programs
from graphlambda.testing.virtual import LoopClock, run_virtually
from tests.scheduler.crashing import FOLDER_KEY, KEY, RUN, Client

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graphlambda.compiler.program import Program

SMALL = program_of([("f", 1)], [0])


# ---- the journal -------------------------------------------------------------------------------------------------


def records() -> st.SearchStrategy[Record]:
    numbers = st.integers(0, 2**64 - 1)
    return st.one_of(
        st.builds(committed, numbers, st.none() | st.binary(max_size=80), numbers),
        st.lists(numbers, max_size=3).map(lost),
        st.builds(charged, numbers, st.sampled_from(["raised", "cut off"]), st.integers(0, 9)),
        st.just(replaced("f" * 64, "gl-f")),
        st.builds(started, numbers, sent=st.booleans()),
        st.builds(spent, numbers, numbers),
    )


def journal_of(told: Sequence[Sequence[Record]]) -> list[bytes]:
    return [b"".join(segment(part, number, run=RUN, key=KEY)) for number, part in enumerate(told, 1)]


@given(st.lists(st.lists(records(), max_size=5), max_size=5))
def test_a_journal_tells_what_it_was_told(told: list[list[Record]]) -> None:
    assert list(records_of(journal_of(told), run=RUN, key=KEY)) == [each for part in told for each in part]


@given(st.lists(st.lists(records(), min_size=1, max_size=3), min_size=1, max_size=4), st.data())
def test_a_journal_cut_anywhere_tells_a_beginning_of_what_it_was_told(
    told: list[list[Record]], data: st.DataObject
) -> None:
    segments = journal_of(told)
    last = data.draw(st.integers(0, len(segments) - 1))
    cut = segments[last][: data.draw(st.integers(0, len(segments[last]) - 1))]
    read = list(records_of([*segments[:last], cut], run=RUN, key=KEY))
    assert read == [each for part in told[:last] for each in part]


@given(st.lists(st.lists(records(), min_size=1, max_size=3), min_size=1, max_size=4), st.data())
def test_a_flipped_bit_is_a_named_error_or_a_beginning(told: list[list[Record]], data: st.DataObject) -> None:
    segments = journal_of(told)
    number = data.draw(st.integers(0, len(segments) - 1))
    flipped = bytearray(segments[number])
    flipped[data.draw(st.integers(0, len(flipped) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    segments[number] = bytes(flipped)
    whole = [each for part in told for each in part]
    try:
        read = list(records_of(segments, run=RUN, key=KEY))
    except AuthenticationError:
        return
    assert (
        read == whole[: len(whole) - len(told[-1])]
    )  # the last one's length was changed: as if it were cut short


@pytest.mark.parametrize("change", [{"run": "r2"}, {"key": FOLDER_KEY}])
def test_a_journal_of_another_run_or_key_is_refused(change: dict[str, Any]) -> None:
    segments = journal_of([[committed(1, b"frame", 5)]])
    with pytest.raises(AuthenticationError, match="damaged"):
        list(records_of(segments, **{"run": RUN, "key": KEY, **change}))


def test_a_segment_in_anothers_place_or_after_a_torn_one_is_refused() -> None:
    first, second = journal_of([[committed(1, None, 5)], [committed(2, None, 5)]])
    for segments in ([second, first], [second], [first, first], [first[:-1], second]):
        with pytest.raises(AuthenticationError, match="journal of run r1"):
            list(records_of(segments, run=RUN, key=KEY))


# ---- replaying ---------------------------------------------------------------------------------------------------


class Standing:
    """Where a run stands: its state and its values."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        store = FileStore(folder)
        place = Place(store=store, run=RUN, key=KEY, keys_of=lambda _: KEY, dumps=json.dumps, limits=Limits())  # type: ignore[arg-type]
        self.values = Values(program, place)
        self.state = RunState(program, ranks(program.edges))

    def told(self) -> dict[str, Any]:
        """Return all that can be asked of it; what was running is given back first."""
        ids = range(self.state.tasks + len(self.program.data))
        tasks = range(self.state.tasks)
        for task in tasks:
            self.state.give_back(task)
        found = {
            "states": [self.state.state(task) for task in tasks],
            "runnable": [self.state.is_runnable(task) for task in tasks],
            "done": self.state.done,
            "frames": [self.values.frame(value) for value in ids],
            "sizes": [self.values.size(value) for value in ids],
            "held": self.values.held_bytes,
            "dropping": sorted(self.values.let_go()),
        }
        order = []
        while (table := self.state.next_table()) is not None:
            order.append((table, self.state.take(table, self.state.ready(table))))
        return {**found, "order": order}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=programs(), data=st.data())
def test_a_replayed_journal_leads_to_where_the_run_stood(
    tmp_path: Path, program: Program, data: st.DataObject
) -> None:
    live, told = Standing(program, tmp_path), list[Record]()
    for _ in range(data.draw(st.integers(0, 2 * program.task_count))):
        table = live.state.next_table()
        if table is None:
            break
        for task in live.state.take(table, data.draw(st.integers(1, 3))):
            frame = data.draw(st.none() | st.binary(min_size=1, max_size=9))
            commit = live.state.commit(task)
            assert commit is not None
            if is_sent := data.draw(st.booleans()):
                live.values.receive(task, frame, 7)
            live.values.release(commit.released)
            told.append(committed(task, frame, 7) if is_sent else unsent(task))
        if gone := data.draw(st.lists(st.integers(0, program.task_count - 1), max_size=2)):
            for value in {*gone, *live.state.lose(gone)}:
                live.values.forget(value)
            told.append(lost(gone))
    again = Standing(program, tmp_path)
    replay(records_of(journal_of([told]), run=RUN, key=KEY), again.state, again.values)
    assert again.told() == live.told()


def test_what_a_run_has_learnt_is_replayed_too(tmp_path: Path) -> None:
    standing = Standing(SMALL, tmp_path)
    told = [
        charged(0, "cut off", 1),
        charged(0, "cut off", 2),
        charged(0, "raised", 1),
        replaced("op", "gl-twin"),
    ]
    past = replay(told, standing.state, standing.values)
    assert (past.charged, past.functions) == ({("cut off", 0): 2, ("raised", 0): 1}, {"op": "gl-twin"})


# ---- clients that die --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of clients that were killed at each event; see `crashing`."""
    program = [sys.executable, "-m", "tests.scheduler.crashing", str(tmp_path_factory.mktemp("crashed"))]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def test_a_run_killed_at_any_event_is_gone_on_with_by_another_process(crashed: dict[str, Any]) -> None:
    assert len(crashed["killed"]) > 50
    for case in crashed["killed"]:
        told = {name: case[name] for name in ("signal", "code", "values", "left")}
        assert told == {"signal": signal.SIGKILL, "code": 0, "values": [9, [3]], "left": []}, case


def test_no_committed_task_is_executed_again_and_every_other_is(crashed: dict[str, Any]) -> None:
    for case in crashed["killed"]:
        assert sorted([*case["committed"], *case["again"]]) == list(range(9)), case
    lengths = {len(case["committed"]) for case in crashed["killed"]}
    assert min(lengths) == 0
    assert max(lengths) >= 4


def test_of_two_that_resume_one_run_one_wins_and_the_other_is_told_who(crashed: dict[str, Any]) -> None:
    two = crashed["two"]
    (refused,) = [told for told in two["told"] if isinstance(told, str)]
    assert [9, [3]] in two["told"]
    assert "run r1 is held by process" in refused
    assert (sorted([*two["committed"], *two["again"]]), two["left"]) == (list(range(9)), [])


def test_what_may_not_run_twice_and_was_in_flight_is_not_run_again_but_named(crashed: dict[str, Any]) -> None:
    assert "Whether it ran is not known" in crashed["once"]["told"]
    assert crashed["once"]["again"] == []


# ---- one client at a time ------------------------------------------------------------------------------------------


class Moment:
    """A clock that stands."""

    def __init__(self) -> None:
        self.now_s = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = DiskFolders(tmp_path / "runs").of(RUN)
    made.begin()
    return made


def test_a_claim_that_was_taken_is_lost_at_its_next_renewal(folder: Folder) -> None:
    clock = Moment()
    first = take(folder, this_client(), clock)
    first.renew()
    clock.now_s += 11.0
    take(folder, this_client(), clock)
    with pytest.raises(RunLostError, match=f"taken by process {os.getpid()}"):
        first.renew()
    with pytest.raises(RunLostError):
        first.confirm()


def test_a_renewal_whose_answer_was_lost_does_not_cost_the_run(folder: Folder) -> None:
    clock = Moment()
    claim = take(folder, this_client(), clock)
    found = folder.read(LEASE)
    assert found is not None
    held = Lease.of(found.content, folder.run)
    renewed = Lease(held.owner, held.renewed_s + 3.0, held.until_s + 3.0)
    assert folder.replace(LEASE, renewed.content(), found.tag)
    claim.renew()
    claim.release()


class Pausing(DiskFolder):
    """A folder whose first change waits for another thread to want one, too."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, RUN, 5.0)
        self.changing, self.going_on = threading.Event(), threading.Event()

    def replace(self, name: str, content: bytes, tag: str) -> str | None:
        if not self.changing.is_set():
            self.changing.set()
            self.going_on.wait(0.2)
        return super().replace(name, content, tag)


def test_a_claim_that_is_confirmed_while_it_is_renewed_is_not_lost(tmp_path: Path) -> None:
    folder, clock = Pausing(tmp_path), Moment()
    folder.begin()
    claim = take(folder, this_client(), clock)
    clock.now_s += 6.0
    with ThreadPoolExecutor(1) as other:
        renewing = other.submit(claim.renew)
        folder.changing.wait()
        claim.confirm()
        renewing.result()


def test_a_run_that_was_taken_is_lost_though_nobody_can_read_by_whom(folder: Folder) -> None:
    folder.create(LEASE, [b"no lease"])
    assert str(lost_run(folder)).startswith("run r1 was taken by another client")


def test_who_takes_a_run_knows_until_when_the_client_before_may_have_sent_something(folder: Folder) -> None:
    clock = Moment()
    began_s = clock.now_s
    take(folder, this_client(), clock)
    clock.now_s = began_s + 60.0
    second = take(folder, this_client(), clock)
    second.release()
    third = take(folder, this_client(), clock)
    assert (second.before_s, third.before_s) == (began_s + CLAIM_S, began_s + 60.0)


def test_a_claim_that_nobody_took_goes_on_however_late(folder: Folder) -> None:
    clock = Moment()
    claim = take(folder, this_client(), clock)
    clock.now_s += 3600.0
    claim.confirm()
    claim.renew()


def test_a_client_that_is_dead_holds_nothing_and_one_of_another_machine_does(folder: Folder) -> None:
    me = this_client()
    gone = type(me)(nonce="n", process=2**22 + 1, host="here", machine=me.machine, started="1")
    far = type(me)(nonce="n", process=2**22 + 1, host="there", machine="another boot", started="1")
    clock = Moment()
    for owner, holds in ((gone, False), (far, True), (me, True)):
        assert Lease(owner, clock.now_s, clock.now_s + 1.0).holds(clock.now_s) is holds
    assert not Lease(me, clock.now_s, clock.now_s).holds(clock.now_s)


def test_a_released_claim_is_anybodys(folder: Folder) -> None:
    take(folder, this_client()).release()
    take(folder, this_client())


def test_a_damaged_lease_is_named(folder: Folder) -> None:
    folder.create(LEASE, [b"{}"])
    with pytest.raises(StoreError, match="lease of run r1 is damaged"):
        take(folder, this_client())


# ---- the keeper ----------------------------------------------------------------------------------------------------


class Broken(Folder):
    """A folder on a disk that is full."""

    run = RUN

    def begin(self) -> None:
        raise StoreError("No space left on device")

    create = replace = read = delete = names = drop = begin  # type: ignore[assignment]


def test_a_folder_that_fails_ends_the_keeping_with_a_warning_and_not_the_run(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.folder = Broken()
    with pytest.warns(ResumeWarning, match="No space left"):
        assert client.run(inline_bytes=0) == [9, [3]]


def test_a_program_that_does_not_pickle_runs_and_cannot_be_resumed(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.saved = {"program": (number for number in range(3))}
    with pytest.warns(ResumeWarning, match="generator"):
        assert client.run(inline_bytes=0) == [9, [3]]
    assert client.folder.names() == []


def test_who_is_second_to_write_a_segment_has_lost_the_run_and_touches_nothing(tmp_path: Path) -> None:
    client = Client(tmp_path)

    def take_over(event: object) -> None:
        if type(event).__name__ == "TasksDone" and not client.folder.read("journal-00000009"):
            for number in range(1, 10):
                client.folder.create(f"journal-{number:08}", [b"another client's"])

    with pytest.raises(RunLostError, match="this client stopped"):
        client.run(take_over, inline_bytes=0)
    assert client.folder.names()
    assert list(client.store.runs()) == [RUN]


class Taken(LoopClock):
    """A clock: while its owner waits for what an earlier client sent, another client takes the run."""

    def __init__(self, folder: Path) -> None:
        self.begun_s = 1e9
        super().__init__(self.begun_s)
        self._lease = folder / "runs" / RUN / LEASE

    async def sleep(self, seconds: float) -> None:
        self._lease.write_bytes(Lease(this_client(), 0.0, 0.0).content())
        await super().sleep(seconds)


def test_a_client_that_loses_its_run_before_it_sent_anything_sends_nothing(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.failing = 8
    with pytest.raises(ZeroDivisionError):
        client.run(inline_bytes=65_536)
    before, clock = client.executed(), Taken(tmp_path)
    with pytest.raises(RunLostError):
        run_virtually(
            client.running(
                inline_bytes=65_536, claimed=True, attempts_over_s=clock.begun_s + 250.0, clock=clock
            )
        )
    assert client.executed() == before


def test_what_lies_in_a_folder_is_authenticated_before_it_is_unpickled(folder: Folder) -> None:
    with pytest.raises(NoSuchRunError, match="nothing of run r1"):
        saved(folder, "program", KEY)
    folder.create("program", [b"\x80\x05cos\nsystem\n"])
    with pytest.raises(AuthenticationError, match="Nothing was un-pickled"):
        saved(folder, "program", KEY)


def test_a_run_that_fails_keeps_what_is_done_for_another_client(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.failing = 8
    with pytest.raises(ZeroDivisionError):
        client.run(inline_bytes=65_536)
    assert sorted(client.committed()) == list(range(8))
    assert client.store.runs() == {}
    client.failing = None
    board, tally = Board(), Tally(lambda _: Size(memory_mb=1769))
    assert client.run(board.add, tally, inline_bytes=65_536, claimed=True) == [9, [3]]
    assert (client.executed(), client.folder.names()) == ([*client.executed()[:8], 8], [])
    assert all(row.complete for row in board.counts().operations)
    assert (tally.summary().tasks_done, tally.summary().invocations) == (9, 1)


def test_a_run_that_fails_before_anything_is_done_leaves_no_folder(tmp_path: Path) -> None:
    class Hopeless(Client):
        def _marking(self, task: int, *_arguments: Any) -> int:
            self.seen = self.folder.names()
            raise KeyError(task)

    client = Hopeless(tmp_path)
    with pytest.raises(KeyError):
        client.run(inline_bytes=65_536)
    assert client.seen
    assert client.folder.names() == []


@pytest.mark.parametrize(("idempotent", "waits"), [(None, True), (True, False)])
def test_what_an_earlier_client_sent_is_outlived_where_it_may_not_run_at_the_same_time(
    tmp_path: Path, idempotent: bool | None, waits: bool
) -> None:
    client, clock = Client(tmp_path), FakeClock()
    client.failing = 8
    with pytest.raises(ZeroDivisionError):
        client.run(inline_bytes=65_536)
    client.failing = None
    over_s = clock.now_s + 250.0
    values = client.run(
        inline_bytes=65_536, claimed=True, attempts_over_s=over_s, clock=clock, idempotent=idempotent
    )
    assert (values, 250.0 in clock.slept_s) == ([9, [3]], waits)


def test_a_run_past_its_deadline_stops_and_leaves_nothing(tmp_path: Path) -> None:
    client = Client(tmp_path)
    with pytest.raises(DeadlineError, match=r"deadline_s=0\.25"):
        client.run(inline_bytes=0, deadline_s=0.25)
    assert (client.folder.names(), client.store.runs()) == ([], {})
