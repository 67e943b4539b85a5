"""What a state folder keeps from one service to the next: what was used last, and no more than it may hold."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from graphlambda.local import LocalSettings, start, upkeep
from graphlambda.local.retention import Claim, affordable
from tests.local.conftest import Account

if TYPE_CHECKING:
    from pathlib import Path

BYTES = 1_000_000


def test_the_ones_used_last_stay_and_what_they_share_counts_once() -> None:
    claims = [
        Claim("old", 1.0, {"a": 5, "shared": 4}),
        Claim("large", 2.0, {"c": 90}),
        Claim("new", 3.0, {"b": 5, "shared": 4}),
        Claim("shared", 0.0, {"shared": 4}),
    ]
    assert affordable(claims, 14) == {"new", "old", "shared"}
    assert affordable(claims, 13) == {"new", "shared"}
    assert affordable(claims, 3) == frozenset()


def test_a_service_takes_over_what_was_used_last_and_the_rest_is_made_again(tmp_path: Path) -> None:
    state = tmp_path / "state"
    code = "def handle(event, context):\n    import held\n    return len(held.X)\n"
    with start(LocalSettings(state=state)) as service:
        account = Account(service)
        layers = [publish(account, name) for name in ("one", "two")]
        for name, layer in zip(("first", "second"), layers, strict=True):
            account.make(code, FunctionName=name, Layers=[layer])
        assert [account.value(name) for name in ("second", "first")] == [BYTES, BYTES]
        hours = {"functions/second": 1, "layers/two/1": 3, "functions/first": 4, "layers/one/1": 4}
    for path, age in hours.items():
        os.utime(state / f"{path}.json", times=(time.time() - 3600 * age,) * 2)
    with start(LocalSettings(state=state, most_bytes=BYTES * 3 // 2)) as service:
        account = Account(service)
        assert account.value("second") == BYTES
        assert (
            account.refusal(account.api.get_function, FunctionName="first")[1] == "ResourceNotFoundException"
        )
        assert not upkeep.trim(state, 0)  # it lives
        assert sum(path.stat().st_size > BYTES for path in state.glob("code/*/python/held.py")) == 1
        account.make(code, FunctionName="first", Layers=[publish(account, "one")])
        assert account.value("first") == BYTES
    count, size_bytes = upkeep.usage(state)
    assert (count, size_bytes // BYTES) == (4, 2)
    assert upkeep.trim(state, 0)
    assert upkeep.usage(state) == (0, 0)
    assert list((state / "code").iterdir()) == list((state / "opt").iterdir()) == []


def test_using_a_function_keeps_it(tmp_path: Path) -> None:
    with start(LocalSettings(state=tmp_path)) as service:
        account = Account(service)
        name = account.make("def handle(event, context):\n    return event\n")
        record = tmp_path / "functions" / f"{name}.json"
        os.utime(record, times=(0, 0))
        assert account.value(name, 7) == 7
        assert time.time() - record.stat().st_mtime < 3600


def publish(account: Account, name: str) -> str:
    content = account.zipped({"python/held.py": f"NAME = '{name}'\nX = '{'x' * BYTES}'\n"})
    return str(
        account.api.publish_layer_version(LayerName=name, Content={"ZipFile": content})["LayerVersionArn"]
    )
