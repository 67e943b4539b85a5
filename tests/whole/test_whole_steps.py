"""Compile, deploy and run one by one; programs that are saved in one process and run in another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import pytest
from dask import delayed

import graphlambda
from graphlambda.errors import ProgramFileError

if TYPE_CHECKING:
    from tests.whole.conftest import Scripts


def mean(size: int = 100, chunk: int = 10, *, of: int = 3) -> Any:
    return ((da.arange(size, chunks=chunk) + of) ** 2).mean()


def test_a_program_says_what_each_operation_does_and_needs() -> None:
    program = graphlambda.compile(mean())
    printed = str(program)
    for table in program.tables:
        assert table.operation.name in printed
        assert table.operation.source.strip().splitlines()[-1] in printed
    assert "numpy==" in printed


def test_compiling_makes_and_runs_nothing(tmp_path: Path) -> None:
    def leave_a_trace() -> None:
        (tmp_path / "trace").touch()

    program = graphlambda.compile(delayed(leave_a_trace)())
    assert program.task_count == 1
    assert list(tmp_path.iterdir()) == []


def test_a_second_deployment_changes_nothing_and_other_data_need_no_new_function() -> None:
    first = graphlambda.deploy(graphlambda.compile(mean()))
    again = graphlambda.deploy(graphlambda.compile(mean()))
    assert (again.created, again.functions) == ((), first.functions)
    other = graphlambda.deploy(graphlambda.compile(mean(70, 7, of=5)))
    assert other.created == ()
    assert set(other.functions.values()) <= set(first.functions.values())


def test_a_program_runs_as_often_as_one_likes() -> None:
    program = graphlambda.compile(mean(), {"nested": [delayed(sum)([1, 2])]})
    deployment = graphlambda.deploy(program)
    wanted = dask.compute(mean(), {"nested": [3]}, scheduler="sync")
    assert graphlambda.run(program, deployment) == wanted
    assert graphlambda.run(program, deployment) == wanted


def test_what_a_run_took_is_told_in_numbers() -> None:
    program = graphlambda.compile(mean())
    graphlambda.run(program, graphlambda.deploy(program))
    summary = graphlambda.last_summary()
    assert summary is not None
    assert summary.tasks == program.task_count
    assert summary.operations == len({table.operation.id for table in program.tables})
    assert 0 < summary.invocations <= summary.tasks


def test_a_saved_program_runs_in_another_process_than_the_one_that_compiled_it(scripts: Scripts) -> None:
    scripts.run(
        """
        import dask.array as da
        import graphlambda

        def scaled(block, by):
            return block * by

        x = da.arange(20, chunks=5).map_blocks(scaled, by=3).sum()
        graphlambda.compile(x, {"also": 1}).save("kept.program")
        """
    )
    printed = scripts.run(
        """
        import graphlambda

        program = graphlambda.load_program("kept.program")
        print(graphlambda.run(program, graphlambda.deploy(program)))
        """
    )
    assert printed == "(np.int64(570), {'also': 1})\n"


def test_saving_and_loading_keeps_operations_and_functions(tmp_path: Path) -> None:
    program = graphlambda.compile(mean())
    program.save(tmp_path / "kept.program")
    loaded = graphlambda.load_program(tmp_path / "kept.program")
    assert [table.operation for table in loaded.tables] == [table.operation for table in program.tables]
    assert str(loaded) == str(program)
    assert graphlambda.deploy(loaded).functions == graphlambda.deploy(program).functions


def test_a_saved_file_is_the_owners_alone(tmp_path: Path) -> None:
    graphlambda.compile(mean()).save(tmp_path / "kept.program")
    assert (tmp_path / "kept.program").stat().st_mode & 0o777 == 0o600


class Trap:
    """Leaves a trace where it is un-pickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("at", [0, 40, -1])
def test_a_changed_file_is_refused_before_anything_in_it_is_unpickled(tmp_path: Path, at: int) -> None:
    file, trace = tmp_path / "kept.program", tmp_path / "trace"
    program = graphlambda.compile(delayed(str)(Trap(trace)))
    program.save(file)
    trace.unlink(missing_ok=True)
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)
    with pytest.raises(ProgramFileError, match=r"kept\.program"):
        graphlambda.load_program(file)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"short", os.urandom(4096)], ids=["empty", "short", "noise"])
def test_a_file_that_is_no_program_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "odd.program"
    file.write_bytes(content)
    with pytest.raises(ProgramFileError, match=r"odd\.program"):
        graphlambda.load_program(file)


def test_a_program_of_another_user_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "theirs.program"
    graphlambda.compile(mean()).save(file, state_dir=tmp_path / "their state")
    with pytest.raises(ProgramFileError, match=r"theirs\.program"):
        graphlambda.load_program(file)
