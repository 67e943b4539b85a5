"""A serverless cache that asks IAM: who we are comes first and is renewed, a crowd is waited out, and S3 stands behind."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.errors import ConfigError, StoreError
from graphlambda.runtime.identity import Keys
from graphlambda.runtime.resp import BUSY_TRIES, SHUT_S, Address, Refused, Server
from graphlambda.runtime.tokens import SESSION_S
from graphlambda.store.file import FileStore
from graphlambda.store.tiered import TieredStore
from graphlambda.store.valkey import ValkeyStore, spec_of
from tests.store.conftest import KEYS
from tests.store.test_valkey_store import ValkeyTests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphlambda.store import Store
    from graphlambda.testing.caches import CacheFront


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a function whose role may use the cache."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS.secret_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", str(KEYS.token))


def mine() -> Keys:
    """Be a client."""
    return KEYS


@pytest.mark.usefixtures("role")
class TestCache(ValkeyTests):
    """The contract; functions sign with their role's keys, the client with its own."""

    @pytest.fixture
    def store(self, front: CacheFront) -> Iterator[Store]:
        store = ValkeyStore(spec_of(front.url, mine), keys=mine)
        yield store
        for run in store.runs():
            store.drop(run)


def test_what_functions_are_told_holds_neither_keys_nor_token(front: CacheFront) -> None:
    told = f"{ValkeyStore(spec_of(front.url, mine), keys=mine).spec()}"
    assert "'iam': {'cache': 'Graphlambda-Test', 'region': 'eu-central-1'}" in told
    assert not any(secret in told for secret in (KEYS.access_key, KEYS.secret_key, str(KEYS.token), "X-Amz"))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"secret_key": "another"}, "the signature is not that of these keys"),
        ({"token": None}, "the token is of another session of AWS"),
    ],
)
def test_whoever_signs_with_other_keys_is_refused(front: CacheFront, wrong: dict[str, Any], why: str) -> None:
    keys = Keys(
        **{"access_key": KEYS.access_key, "secret_key": KEYS.secret_key, "token": KEYS.token, **wrong}
    )
    with pytest.raises(StoreError, match="WRONGPASS"):
        spec_of(front.url, lambda: keys)
    assert front.refused[-1] == why


def test_a_token_is_for_one_cache(front: CacheFront) -> None:
    spec = spec_of(front.url, mine)
    other = {**spec, "iam": {**spec["iam"], "cache": "another"}}
    with closing(Server(Address(other, mine))) as server, pytest.raises(Refused, match="WRONGPASS"):
        server.run([(b"PING",)])
    assert front.refused[-1] == "the token is for another"


def test_the_first_thing_that_a_cache_hears_is_who_comes(front: CacheFront) -> None:
    greeting = Address(spec_of(front.url, mine), mine).greeting()
    assert [command[0] for command in greeting] == [b"AUTH"]


def test_a_connection_says_again_who_it_is_before_its_session_ends(
    front: CacheFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Server(Address(spec_of(front.url, mine), mine))) as server:
        server.run([(b"PING",)])
        before = front.sessions, front.renewed
        server.run([(b"PING",)])
        (kept,) = server._idle
        kept._greeted_s -= SESSION_S + 1
        assert server.run([(b"PING",)]) == [b"PONG"]
    assert (front.sessions, front.renewed) == (before[0], before[1] + 1)


def test_a_crowd_is_waited_out_and_nobody_comes_again_at_the_same_time(front: CacheFront) -> None:
    pauses_s: list[float] = []
    spec = spec_of(front.url, mine)
    front.busy = BUSY_TRIES - 1
    with closing(Server(Address(spec, mine), pauses_s.append)) as server:
        assert server.run([(b"PING",)]) == [b"PONG"]
    assert len(set(pauses_s)) == BUSY_TRIES - 1
    assert all(0 <= pause_s <= 0.1 * 2**tries for tries, pause_s in enumerate(pauses_s))


def test_a_cache_that_takes_nobody_is_left_alone_for_a_while_and_values_go_to_the_store_behind(
    front: CacheFront, tmp_path: Path
) -> None:
    pauses_s: list[float] = []
    spec, front.busy = spec_of(front.url, mine), 1_000
    hot = ValkeyStore(spec, keys=mine)
    hot._client.server = Server(Address(spec, mine), pauses_s.append)
    store = TieredStore(hot, FileStore(tmp_path))
    try:
        store.touch("r")
        store.put("r", "v-1", [b"value"])
        assert bytes(store.get("r", "v-1")) == b"value"
    finally:
        front.busy = 0
    assert len(pauses_s) == BUSY_TRIES  # of one try; the others were not made
    assert SHUT_S > 1.0


@pytest.mark.parametrize(
    "url",
    [
        "redis://default@host?iam=c&region=eu-west-1",
        "rediss://host?iam=c&region=eu-west-1",
        "rediss://default:password@host?iam=c&region=eu-west-1",
        "rediss://default@host?iam=c",
    ],
)
def test_what_asks_iam_has_tls_a_user_a_region_and_no_password(url: str) -> None:
    with pytest.raises(
        ConfigError, match=r"rediss://user@host:port\?iam=name-of-the-cache&region=its-region"
    ):
        spec_of(url, mine)
