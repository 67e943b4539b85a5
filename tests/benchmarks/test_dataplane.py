"""The benchmark of stores measures what it says, and judges by its bars."""

from __future__ import annotations

import pytest

from benchmarks import codec
from benchmarks.dataplane import Row, bars_of, measured, shown
from benchmarks.planes import MEMCPY, OURS, PLANES, RAW


@pytest.mark.parametrize("store", PLANES)
def test_every_road_gives_back_what_it_was_given(store: str) -> None:
    rows = measured(store, "1KB", 0)
    assert {OURS, MEMCPY} < {row.peer for row in rows}
    assert [(len(row.puts_s), len(row.gets_s)) for row in rows] == [(3, 3)] * len(rows)
    assert [line.split()[-1] for line in shown(rows)] == ["3"] * len(rows)


def test_every_kind_of_value_is_encoded_and_decoded(capsys: pytest.CaptureFixture[str]) -> None:
    assert codec.main(["--mb", "1", "--repeats", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(codec.values_of(1))


def test_the_best_peer_and_a_raw_socket_decide() -> None:
    rows = [
        Row("valkey", "64MB", peer, (put_s,), (get_s,))
        for peer, put_s, get_s in [
            (OURS, 2.0, 2.0), ("slow", 9.0, 9.0), ("redis-py", 4.0, 1.0), ("redis-py, bytes alone", 1.0, 1.0), (RAW, 1.0, 1.5),
        ]
    ]  # fmt: skip
    half = "0.50 (0.50 to 0.50)"
    assert list(bars_of(rows)) == [
        (
            f"valkey, 64MB, put: the best peer takes 2.00 (2.00 to 2.00) of our time (at least 1); with bytes alone {half}",
            True,
        ),
        (
            f"valkey, 64MB, get: the best peer takes {half} of our time (at least 1); with bytes alone {half}",
            False,
        ),
        ("valkey, 64MB, put: 2.00 (2.00 to 2.00) times a raw socket (at most 1.5)", False),
        ("valkey, 64MB, get: 1.33 (1.33 to 1.33) times a raw socket (at most 1.5)", True),
    ]


def test_a_bar_is_missed_only_by_more_than_the_turns_differ() -> None:
    ours = (1.0,) * 20
    for peers, kept in [((0.9,) * 8 + (1.1,) * 12, True), ((0.9,) * 18 + (1.1,) * 2, False)]:
        rows = [Row("file", "1KB", OURS, ours, ours), Row("file", "1KB", "peer", peers, peers)]
        assert [each for _, each in bars_of(rows)] == [kept, kept]
