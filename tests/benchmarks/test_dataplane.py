"""The benchmark of stores measures what it says, and judges by its bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import codec
from benchmarks.dataplane import Row, bars_of, measured, shown
from benchmarks.planes import MEMCPY, OURS, PLANES, RAW

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("store", PLANES)
def test_every_road_gives_back_what_it_was_given(store: str, tmp_path: Path) -> None:
    rows = list(measured(store, ["1KB"], 1, tmp_path))
    assert {OURS, MEMCPY} < {row.peer for row in rows}
    assert len(shown(rows).splitlines()) == 2 + len(rows)
    assert list(tmp_path.glob("*/v-*")) == []


def test_every_kind_of_value_is_encoded_and_decoded(capsys: pytest.CaptureFixture[str]) -> None:
    assert codec.main(["--mb", "1", "--repeats", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(codec.values_of(1))


def test_the_best_peer_and_a_raw_socket_decide() -> None:
    rows = [
        Row("valkey", "64MB", peer, put_s, get_s)
        for peer, put_s, get_s in [
            (OURS, 2.0, 2.0), ("slow", 9.0, 9.0), ("redis-py", 4.0, 1.0), ("redis-py, bytes alone", 1.0, 1.0), (RAW, 1.0, 1.5),
        ]
    ]  # fmt: skip
    assert list(bars_of(rows)) == [
        (
            "valkey, 64MB, put: the best peer takes 2.00 of our time (at least 1); with bytes alone, 0.50",
            True,
        ),
        (
            "valkey, 64MB, get: the best peer takes 0.50 of our time (at least 1); with bytes alone, 0.50",
            False,
        ),
        ("valkey, 64MB, put: 2.00 times a raw socket (at most 1.5)", False),
        ("valkey, 64MB, get: 1.33 times a raw socket (at most 1.5)", True),
    ]
