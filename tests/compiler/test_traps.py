"""The thirty points at which a naive executor of Dask graphs goes wrong, each with what becomes of it here.

 #  trap                                      handled                                     test
 1  an Expr is no mapping                     read as what it is                          here
 2  legacy tuples, raw values                 walked as they are                          here, test_random_graphs
 3  alias nodes                               resolved: no task                           here
 4  data nodes, big literals                  data objects, one an object                 here
 5  references in containers and tasks        ports wherever they stand                   here, test_random_graphs
 6  Dask's tokens ignore order                our signature is ordered                    here
 7  hash-dependent fusion                     tasks are fused by us                       test_operation_ids
 8  keys of every type, equal across types    keys become integers                        here, test_random_graphs
 9  None and false results                    values like any other                       here, test_random_graphs
10  shuffles through the local disk           by tasks, or refused                        test_refusals.TestShuffles
11  p2p                                       refused                                     test_refusals.TestShuffles
12  futures of a cluster                      refused                                     test_refusals.TestFutures
13  targets in memory                         refused                                     test_refusals.TestTargets
14  threading.Lock                            refused, by name                            test_refusals.TestLocks
15  iterators as results                      the runtime makes lists of them             here (Dask's reify), tests/runtime
16  coroutine tasks                           the runtime runs them                       here (they compile), tests/runtime
17  the finalising task                       not in the program: the client's            here
18  exceptions                                come home as themselves                     test_random_graphs, tests/runtime
19  callables with state, caches              a cache does not travel                     here
20  nested compute                            works: collections travel as values         here
21  a bag's default scheduler                 never asked                                 here
22  local paths                               named in the program                        here
23  code in each task                         once an operation                           here
24  repeated keys, data keys, empty graphs    as Dask answers                             here
25  impure tasks                              two calls are two tasks                    here
26  order matters for memory                  the scheduler's priorities                  tests/scheduler
27  ordering edges                            edges like any other                        here
28  clones keep the key of their original     the graph's key counts                      here
29  persist embeds data                       references to kept values                   here
30  one task with 10,000 inputs               one gather                                  here
"""

from __future__ import annotations

import functools
import marshal
from typing import TYPE_CHECKING, Any

import dask.array as da
import dask.bag as db
import numpy as np
import pandas as pd
import pytest
from dask import delayed
from dask._task_spec import Alias, DataNode, Dict, List, Set, Task, TaskRef, Tuple
from dask.base import collections_to_expr
from dask.core import flatten
from dask.graph_manipulation import bind

from graphlambda.compiler import Program, compile_collections, compile_graph
from graphlambda.compiler.program import Gathers, Kept
from graphlambda.compiler.read import rebuilt
from graphlambda.errors import RandomWarning
from graphlambda.testing.inline import run_inline

if TYPE_CHECKING:
    from pathlib import Path


def together(*values: Any) -> tuple[Any, ...]:
    return values


def run(graph: dict[Any, Any], keys: Any) -> Any:
    return run_inline(compile_graph(graph, keys))


def operations(program: Program) -> set[str]:
    return {table.operation.id for table in program.tables}


def test_01_an_expression_is_read() -> None:
    expression = collections_to_expr(da.ones(4, chunks=2) + 1).optimize()
    keys = list(flatten(expression.__dask_keys__()))
    values = run_inline(compile_graph(expression, keys))
    assert np.concatenate(values).tolist() == [2.0] * 4


def test_02_tuples_and_bare_values_are_read() -> None:
    assert run({"a": 1, "b": (together, "a", ["a", (len, "xyz")]), "c": [1, 2]}, ["b", "c"]) == (
        (1, [1, 3]),
        [1, 2],
    )


def test_03_aliases_are_no_tasks() -> None:
    graph = {"a": Task("a", together, 1), "b": Alias("b", "a"), "c": Alias("c", "b")}
    program = compile_graph(graph, ["c", "a"])
    assert program.task_count == 1
    assert run_inline(program) == ((1,), (1,))


def test_04_a_large_value_is_one_data_object() -> None:
    large = np.zeros(10_000)
    graph: dict[Any, Any] = {n: Task(n, together, large, n) for n in range(3)}
    graph["d"] = DataNode("d", large)
    graph["e"] = Task("e", together, TaskRef("d"))
    program = compile_graph(graph, [0, 1, 2, "e"])
    assert [value is large for value in program.data].count(True) <= 1
    assert sum(value is large for table in program.tables for value in constants(table)) <= 1


def constants(table: Any) -> list[Any]:
    return [column.value for column in table.columns if hasattr(column, "value")]


def test_05_references_are_found_wherever_they_stand() -> None:
    inner = Task(None, together, Dict({"k": List(TaskRef("a"), Tuple(TaskRef("a")))}), Set(TaskRef("a")))
    graph = {"a": DataNode("a", 7), "b": Task("b", together, List(inner))}
    assert run(graph, "b") == ([({"k": [7, (7,)]}, {7})],)


def test_06_the_order_of_what_a_container_holds_counts() -> None:
    data: dict[Any, Any] = {"x": DataNode("x", 1), "y": DataNode("y", 2)}
    graph = data | {
        "ab": Task("ab", together, List(TaskRef("x"), TaskRef("y"))),
        "ba": Task("ba", together, List(TaskRef("y"), TaskRef("x"))),
    }
    assert graph["ab"] == graph["ba"], "Dask no longer takes them for equal: this trap is gone"
    assert run(graph, ["ab", "ba"]) == (([1, 2],), ([2, 1],))


@pytest.mark.parametrize("asked", [("x", 0), ("x", np.int64(0)), ("x", 0.0)])
def test_08_equal_keys_are_one_key(asked: Any) -> None:
    graph: dict[Any, Any] = {
        ("x", 0): Task(("x", 0), together, 1),
        b"y": Task(b"y", together, TaskRef(asked)),
    }
    assert run(graph, [asked, b"y"]) == ((1,), ((1,),))


@pytest.mark.parametrize("value", [None, 0, False, "", [], {}])
def test_09_false_values_are_values(value: Any) -> None:
    graph = {"a": Task("a", lambda: value), "b": Task("b", together, TaskRef("a"))}
    assert run(graph, ["a", "b"]) == (value, (value,))


def test_15_partitions_that_are_generators_become_lists() -> None:
    bag = db.from_sequence(range(4), npartitions=2).map_partitions(lambda items: (item + 1 for item in items))
    assert run_inline(compile_collections(bag)) == ([1, 2, 3, 4],)


def test_16_a_coroutine_function_is_code_like_any_other() -> None:
    async def answer(value: int) -> int:
        return value

    (coroutine,) = run_inline(compile_collections(delayed(answer)(5)))
    with pytest.raises(StopIteration, match="5"):
        coroutine.send(None)


def test_17_no_task_needs_all_of_the_result() -> None:
    program = compile_collections(da.ones((8, 8), chunks=2) + 1)
    assert program.task_count == 16
    assert not len(program.edges.ids)


def test_19_a_cache_does_not_travel() -> None:
    cached = functools.lru_cache(lambda value: value * 2)
    cached(4)
    before = cached.cache_info()
    assert run_inline(compile_collections(delayed(cached)(4))) == (8,)
    assert cached.cache_info() == before


def test_20_a_task_may_compute_a_collection() -> None:
    lazy = da.ones(6, chunks=2)
    program = compile_collections(delayed(lambda: float(lazy.sum().compute(scheduler="sync")))())
    assert run_inline(program) == (6.0,)


def test_21_a_bag_does_not_ask_for_processes() -> None:
    bag = db.from_sequence(range(4), npartitions=2)
    assert compile_collections(bag.sum()).task_count == 3


def test_22_local_paths_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    program = compile_collections(delayed(pd.read_csv)(str(tmp_path / "a.csv")))
    assert program.paths == (str(tmp_path),)


def test_23_code_is_shipped_once_an_operation() -> None:
    def by_value(number: int) -> int:
        return number + 1

    program = compile_collections([delayed(by_value)(number) for number in range(100)])
    assert len(operations(program)) == 1
    assert list(marshal.loads(program.tables[0].operation.code)) == ["by_value_code"]
    assert sorted(program.bindings(task)[0].value for task in range(100)) == list(range(100))  # type: ignore[union-attr]


def test_24_keys_are_answered_in_their_nesting() -> None:
    graph = {"a": DataNode("a", 1), "b": Task("b", together, TaskRef("a"))}
    assert run(graph, "a") == 1
    assert run(graph, ["b", "b"]) == ((1,), (1,))
    assert run(graph, [["b", "a"], ["a"], []]) == (((1,), 1), (1,), ())
    assert run({}, []) == ()
    assert run_inline(compile_collections()) == ()
    assert run_inline(compile_collections(1, [2])) == (1, [2])


def test_25_two_calls_are_two_tasks() -> None:
    draw = delayed(np.random.default_rng().random)
    with pytest.warns(RandomWarning, match="draws the same numbers"):
        program = compile_collections(draw(), draw())
    assert program.task_count == 2
    assert len(operations(program)) == 1


def test_27_an_ordering_edge_is_an_edge() -> None:
    before, after = delayed(together)(1), delayed(together)(2)
    program = compile_collections(bind(after, before))
    assert run_inline(program) == ((2,),)
    assert len(program.edges.ids) > 0


def test_28_the_graphs_key_counts_not_the_tasks_own() -> None:
    graph = {"a": Task("a", together, 1), "clone": Task("a", together, 2)}
    assert run(graph, ["a", "clone"]) == ((1,), (2,))


def test_29_a_persisted_value_stays_where_it_is() -> None:
    collection = da.ones(4, chunks=2)
    kept = [Kept(run="r", id=number, store="file:/nowhere") for number in range(2)]
    keys = list(flatten(collection.__dask_keys__()))
    (persisted,) = rebuilt([collection], [keys], [kept], lambda _: pytest.fail("nothing is read"))
    program = compile_collections(persisted + 1)
    assert sorted(program.data, key=lambda value: value.id) == kept


def test_30_a_fan_in_of_10_000_is_one_gather() -> None:
    graph: dict[Any, Any] = {("x", number): (together, number) for number in range(10_000)}
    graph["all"] = (len, list(graph))
    program = compile_graph(graph, "all")
    assert run_inline(program) == 10_000
    (column,) = program.tables[int(program.table_of[program.outputs[0]])].columns
    assert isinstance(column, Gathers)
