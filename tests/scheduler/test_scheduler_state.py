"""The state machine: whatever the order of completions, each task runs after its inputs and is committed once."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphlambda.compiler.program import Gather, Input
from graphlambda.scheduler.order import ranks
from graphlambda.scheduler.state import MOST_PARTS, Commit, RunState, TaskState
from graphlambda.testing.programs import program_of, programs

if TYPE_CHECKING:
    from graphlambda.compiler.program import Program


def state_of(program: Program) -> RunState:
    return RunState(program, np.arange(program.task_count))


def take_any(state: RunState) -> list[int]:
    table = state.next_table()
    return [] if table is None else state.take(table, 1)


def test_a_task_is_ready_when_its_last_input_is_committed() -> None:
    state = state_of(program_of([("f",), ("f",), ("g", Gather([0, 1]))], [2]))
    assert (state.take(0, 9), state.next_table()) == ([0, 1], None)
    assert state.commit(1) == Commit(ready=[], released=[])
    assert state.commit(0) == Commit(ready=[2], released=[])
    assert state.take(1, 9) == [2]


def test_values_are_released_with_their_last_reader_and_outputs_never() -> None:
    state = state_of(program_of([("f",), ("g", Input(0)), ("h", Input(0), Input(3))], [1], data=[7]))
    assert take_any(state) == [0]
    assert state.commit(0) == Commit(ready=[1, 2], released=[])
    assert state.take(1, 1) + state.take(2, 1) == [1, 2]
    assert state.commit(1) == Commit(ready=[], released=[])
    assert state.commit(2) == Commit(ready=[], released=[2, 0, 3])


def test_a_value_named_twice_by_one_task_is_one_edge() -> None:
    state = state_of(program_of([("f",), ("g", Input(0), Gather([0, [0]]))], [1]))
    state.take(0, 1)
    assert state.commit(0) == Commit(ready=[1], released=[])


def test_a_second_completion_changes_nothing() -> None:
    state = state_of(program_of([("f",), ("f",), ("g", Gather([0, 1]))], [2]))
    state.take(0, 2)
    assert state.commit(0) is not None
    assert (state.commit(0), state.next_table(), state.done) == (None, None, 1)


def test_what_is_given_back_is_taken_first_again() -> None:
    state = state_of(program_of([("f",)] * 3, [0]))
    assert state.take(0, 2) == [0, 1]
    state.give_back(1)
    state.give_back(0)
    assert state.take(0, 3) == [0, 1, 2]


def test_a_done_task_cannot_be_given_back() -> None:
    state = state_of(program_of([("f",)], [0]))
    state.take(0, 1)
    state.commit(0)
    state.give_back(0)
    assert (state.finished, state.next_table()) == (True, None)


def test_a_chain_follows_its_first_task_into_the_batch() -> None:
    state = state_of(program_of([("f",), *[("f", Input(t)) for t in range(5)]], [5]))
    first = state.take(0, 1)
    assert (first, state.follow(first, 3)) == ([0], [0, 1, 2, 3])
    assert [state.state(t) for t in (3, 4)] == [TaskState.RUNNING, TaskState.WAITING]


def test_a_follower_waits_again_when_its_batch_brought_nothing() -> None:
    state = state_of(program_of([("f",), ("f", Input(0))], [1]))
    first = state.take(0, 1)
    assert state.follow(first, 9) == [0, 1]
    assert (state.is_runnable(0), state.is_runnable(1)) == (True, False)
    state.give_back(1)
    assert state.commit(0) == Commit(ready=[1], released=[])


def test_tasks_of_other_operations_or_with_other_inputs_do_not_follow() -> None:
    tasks = [("f",), ("g",), ("g", Input(0)), ("f", Gather([0, 1])), ("f", Input(0))]
    state = state_of(program_of(tasks, [2, 3, 4]))
    assert state.follow(state.take(0, 1), 9) == [0, 4]


def test_projections_follow_at_once_whatever_the_bound_of_tasks() -> None:
    tasks = [("halves",), ("halves",), *[("pick", Input(t), i) for t in (0, 1) for i in (0, 1)]]
    state = state_of(program_of([*tasks, ("pick", Input(3), 0)], [2, 3, 4, 5, 6]))
    assert state.follow(state.take(0, 2), 0) == [0, 2, 3, 6, 1, 4, 5]


def test_a_task_stands_together_with_its_projections_and_those_that_ran_alone_stand_alone() -> None:
    tasks = [("halves",), ("halves",), *[("pick", Input(t), i) for t in (0, 1) for i in (0, 1)]]
    state = state_of(program_of([*tasks, ("f",)], [2, 3, 4, 5, 6]))
    assert state.together([0, 2, 3, 1, 4, 6]) == [slice(0, 3), slice(3, 5), slice(5, 6)]
    assert state.together([4, 5]) == [slice(0, 1), slice(1, 2)]
    assert state.together([]) == []


def test_a_chain_follows_through_projections() -> None:
    tasks = [("halves", 1), ("pick", Input(0), 0), ("halves", Input(1)), ("pick", Input(2), 1)]
    state = state_of(program_of(tasks, [3]))
    assert state.follow(state.take(0, 1), 1) == [0, 1, 2, 3]


def test_a_projection_of_what_another_batch_makes_waits_for_it() -> None:
    state = state_of(program_of([("halves",), ("halves",), ("pick", Input(1), 0)], [0, 2]))
    assert state.follow(state.take(0, 1), 5) == [0]
    assert state.follow(state.take(0, 1), 5) == [1, 2]


def test_a_value_is_unsent_where_only_projections_of_its_batch_read_it() -> None:
    tasks = [("halves",), *[("pick", Input(0), i) for i in (0, 1)], ("halves",), ("pick", Input(3), 0)]
    state = state_of(program_of([*tasks, ("f", Input(3))], [1, 2, 4, 5]))
    assert state.is_unsent(0, {0, 1, 2})
    assert not state.is_unsent(0, {0, 1})
    assert not state.is_unsent(3, {3, 4, 5})
    assert not state.is_unsent(1, {0, 1, 2})


def test_a_value_is_unsent_where_only_tasks_of_its_batch_read_it() -> None:
    tasks = [("f",), ("f", Input(0)), ("g", Input(1)), ("f", Input(1)), ("f", Input(3))]
    state = state_of(program_of(tasks, [4]))
    assert [task for task in range(5) if state.is_unsent(task, {0, 1, 3, 4})] == [0, 2, 3]
    state.take(0, 1)
    state.commit(0)
    state.commit(1)
    state.commit(2)
    assert state.is_unsent(1, {1, 3})


def test_of_more_projections_than_a_reply_can_tell_of_some_wait() -> None:
    many = MOST_PARTS + 1
    program = program_of([("halves",), *[("pick", Input(0), 0)] * many], [list(range(1, many + 1))])
    state = state_of(program)
    assert len(state.follow(state.take(0, 1), 0)) == many
    state.commit(0)
    assert state.next_table() == 1


@given(programs(), st.integers(0, 2**32), st.booleans())
def test_any_order_of_completions_commits_each_task_once_after_its_inputs(
    program: Program, seed: int, follow: bool
) -> None:
    chance = random.Random(seed)
    state = RunState(program, ranks(program.edges))
    running: list[int] = []
    committed: list[int] = []
    released: set[int] = set()
    while not state.finished:
        while (table := state.next_table()) is not None and chance.random() < 0.7:
            taken = state.take(table, chance.randint(1, 3))
            running += state.follow(taken, 2) if follow else taken
        if not running:
            continue
        task = running.pop(chance.randrange(len(running)))
        if chance.random() < 0.2 or not state.is_runnable(task):
            state.give_back(task)
            continue
        inputs = program.edges.of(task).tolist()
        assert all(v in committed or v >= program.task_count for v in inputs)
        assert not released.intersection(inputs)
        commit = state.commit(task)
        assert commit is not None
        assert not released.intersection(commit.released)
        released.update(commit.released)
        committed.append(task)
        assert state.commit(chance.choice(committed)) is None
    everything = set(range(program.task_count)) | {int(v) for v in program.edges.ids}
    assert sorted(committed) == list(range(program.task_count))
    assert released == everything - state.outputs


@pytest.mark.parametrize("width", [1, 5000])
def test_a_wide_fan_in_is_looked_through_once(width: int) -> None:
    state = state_of(program_of([("f",)] * width + [("g", Gather(list(range(width))))], [width]))
    for task in reversed(state.take(0, width)):
        state.commit(task)
    assert state.take(1, 1) == [width]


# ---- loss ------------------------------------------------------------------------------------------------------


def committed(program: Program, *tasks: int) -> RunState:
    """Return the state in which these tasks are done and no other was started."""
    state = state_of(program)
    for task in tasks:
        assert task in state.take(int(program.table_of[task]), 1)
        state.commit(task)
    return state


CHAIN = program_of([("f",), ("g", Input(0)), ("h", Input(1)), ("i", Input(2))], [3])


def test_a_lost_value_is_made_again_with_what_it_needs_and_was_released_meanwhile() -> None:
    state = committed(CHAIN, 0, 1, 2)
    assert state.lose([2]) == [2, 1, 0]
    assert (state.done, [state.state(t) for t in range(4)]) == (0, [1, 0, 0, 0])
    assert [take_any(state), state.commit(0)] == [[0], Commit(ready=[1], released=[])]
    assert [take_any(state), state.commit(1)] == [[1], Commit(ready=[2], released=[0])]


def test_what_a_lost_value_needs_and_is_still_there_is_not_made_again() -> None:
    program = program_of([("f",), ("g", Input(0)), ("h", Gather([0, 1]))], [2])
    state = committed(program, 0, 1)
    assert state.lose([1]) == [1]
    assert (take_any(state), state.state(2)) == ([1], TaskState.WAITING)
    assert state.commit(1) == Commit(ready=[2], released=[])


def test_a_lost_output_is_made_again() -> None:
    state = committed(program_of([("f", Input(1))], [0], data=[7]), 0)
    assert (state.finished, state.lose([0]), state.finished) == (True, [0], False)
    assert [take_any(state), state.commit(0)] == [[0], Commit(ready=[], released=[1])]


def test_what_nobody_needs_is_not_made_again_nor_what_is_not_there() -> None:
    state = committed(CHAIN, 0, 1)
    assert state.lose([0, 2, 3]) == []
    assert (state.done, state.lose([1, 1]), state.lose([1])) == (2, [1, 0], [])


def test_a_ready_reader_waits_again_and_a_running_one_may_still_commit() -> None:
    program = program_of([("f",), ("g", Input(0)), ("g", Input(0)), ("h", Gather([1, 2]))], [3])
    state = committed(program, 0)
    assert state.take(1, 1) == [1]
    assert state.lose([0]) == [0]
    assert (state.ready(1), state.state(2), state.next_table()) == (0, TaskState.WAITING, 0)
    assert state.commit(1) == Commit(ready=[], released=[])
    state.give_back(2)
    assert [take_any(state), state.commit(0)] == [[0], Commit(ready=[2], released=[])]
    assert [take_any(state), state.commit(2)] == [[2], Commit(ready=[3], released=[0])]


def test_a_lost_value_whose_last_reader_has_committed_is_let_go_at_once() -> None:
    state = committed(CHAIN, 0)
    assert [take_any(state), state.lose([0])] == [[1], [0]]
    assert state.commit(1) == Commit(ready=[2], released=[])
    assert [state.take(0, 1), state.commit(0)] == [[0], Commit(ready=[], released=[0])]


def test_a_late_reply_of_a_task_that_was_given_back_takes_it_out_of_its_queue() -> None:
    state = state_of(CHAIN)
    assert take_any(state) == [0]
    state.give_back(0)
    assert (state.commit(0), state.ready(0)) == (Commit(ready=[1], released=[]), 0)


class Losing:
    """A state and a store that forgets values, which only their readers find out; checks every step."""

    def __init__(self, program: Program, seed: int) -> None:
        self.program = program
        self.state = RunState(program, ranks(program.edges))
        self.chance = random.Random(seed)
        self.there: set[int] = set(range(program.task_count, program.task_count + len(program.data)))
        self.committed: set[int] = set()
        self.running: list[int] = []
        self.evictions = 3 * program.task_count

    def step(self) -> None:
        """Evict, start, and end something, or not."""
        if self.evictions and self.chance.random() < 0.3:
            self.evictions -= 1
            self.there -= set(self.chance.sample(sorted(self.there), min(1, len(self.there))))
        table = self.state.next_table()
        if table is not None and self.chance.random() < 0.7:
            taken = self.state.take(table, self.chance.randint(1, 3))
            self.running += self.state.follow(taken, 2)
        if self.running:
            self.end(self.running.pop(self.chance.randrange(len(self.running))))
        elif table is None and self.state.finished:
            self.lose(set(self.state.outputs - self.there))

    def end(self, task: int) -> None:
        """Commit a running task if it can read its inputs; else tell what it could not read."""
        gone = set(self.program.edges.of(task).tolist()) - self.there
        if gone or self.chance.random() < 0.1:
            self.lose(gone)
            self.state.give_back(task)
            return
        commit = self.state.commit(task)
        assert (commit is None) == (task in self.committed)
        if commit is not None:
            self.committed.add(task)
            self.there.add(task)
            assert set(commit.released) == {
                v for v in self.over() if v in {task, *self.program.edges.of(task)}
            }
            self.there -= set(commit.released)

    def lose(self, gone: set[int]) -> None:
        """Lose values; data objects are stored again."""
        data = {value for value in gone if value >= self.program.task_count}
        self.there |= data
        again = self.state.lose(sorted(gone - data))
        assert self.committed.issuperset(again)
        assert len(set(again)) == len(again)
        self.committed -= set(again)
        self.there -= set(again)
        assert gone.isdisjoint(self.committed)

    def over(self) -> set[int]:
        """Return the values whose readers are all committed, and that are no outputs."""
        program = self.program
        needed = {
            int(v) for t in range(program.task_count) if t not in self.committed for v in program.edges.of(t)
        }
        everything = self.committed | set(range(program.task_count, program.task_count + len(program.data)))
        return everything - needed - self.state.outputs


@given(programs(), st.integers(0, 2**32))
def test_a_run_whose_store_forgets_ends_with_every_output(program: Program, seed: int) -> None:
    run = Losing(program, seed)
    for _ in range(400 * (program.task_count + 1)):
        if run.state.finished and run.state.outputs <= run.there:
            break
        run.step()
        assert run.state.done == len(run.committed)
    assert run.state.finished
    assert run.state.outputs <= run.there
