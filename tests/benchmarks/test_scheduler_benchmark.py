"""What is measured happens: so many invocations, so many at once, every value the stub's own."""

from __future__ import annotations

from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from benchmarks.scheduler import CASES, Case, hops, in_flight, main
from benchmarks.synthetic import chains, independent, reduction
from graphlambda.scheduler.order import ranks
from graphlambda.testing.stub import stub


def test_every_task_is_an_invocation_of_its_own_where_invocations_are_counted() -> None:
    figures = CASES["rate"].measure(200)
    assert (figures["tasks"], figures["invocations"]) == (200, 200)


def test_as_many_are_in_flight_as_are_asked_for() -> None:
    assert in_flight(60, latency_s=1.0)["most_in_flight"] == 30
    assert hops(30, latency_s=0.5)["most_in_flight"] == 30


def test_a_graph_shares_invocations() -> None:
    figures = CASES["graph"].measure(3_000)
    assert figures["tasks"] == 2_999
    assert figures["invocations"] < 1_000


def test_boto3_is_answered_too() -> None:
    assert CASES["boto3"].measure(20)["tasks"] == 20


@pytest.mark.parametrize("arguments", [["rate", "--quick"], ["boto3", "--quick"]])
def test_figures_and_verdicts_are_printed(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) in (0, 1)
    assert capsys.readouterr().out.rstrip().rpartition(" ")[2] in ("kept", "MISSED", "bar)")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_bar_says_what_it_asks_for(case: Case) -> None:
    assert bool(case.bar) == (case.kept is not None)


def test_programs_have_the_tasks_and_edges_that_they_say() -> None:
    assert (independent(5).task_count, len(independent(5).edges.ids)) == (5, 0)
    tree = reduction(8)
    assert (tree.task_count, len(tree.edges.ids), tree.outputs) == (23, 8 + 14, (22,))
    assert sorted(ranks(tree.edges)) == list(range(23))
    beside = chains(3, 4)
    assert [beside.edges.of(task).tolist() for task in range(12)] == [[], [], [], *([t] for t in range(9))]
    assert beside.table_of.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 1, 1, 1]


def test_the_stub_answers_nobody_who_does_not_name_its_key() -> None:
    with stub() as to:
        request = Request(f"{to.url}/2015-03-31/functions/f/invocations", b"{}")
        with pytest.raises(HTTPError, match="403"):
            urlopen(request, timeout=30)
        assert to.seen().requests == 0
