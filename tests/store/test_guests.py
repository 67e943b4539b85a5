"""Functions are sent a user of the session's own, which can do what they need and nothing else."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.errors import ConfigError
from graphlambda.runtime.resp import Address, Refused, Server
from graphlambda.runtime.valkey import ValkeyClient
from graphlambda.store.guests import LONGEST_S, Guest, invited, named
from graphlambda.store.valkey import ValkeyStore, spec_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphlambda.runtime.resp import Reply


@pytest.fixture(params=["tcp_url", "cluster_url"])
def spec(request: pytest.FixtureRequest) -> dict[str, Any]:
    return spec_of(request.getfixturevalue(request.param))


@pytest.fixture
def guest(spec: dict[str, Any]) -> Iterator[Guest]:
    found = invited(spec)
    assert found is not None
    yield found
    found.leave()


def asked(spec: dict[str, Any], *words: str) -> Reply:
    server = Server(Address(spec))
    try:
        return server.run([tuple(word.encode() for word in words)])[0]
    finally:
        server.close()


def users(spec: dict[str, Any]) -> set[str]:
    return {bytes(name).decode() for name in asked(spec, "ACL", "USERS")}


def test_functions_read_and_write_values_without_the_password_that_was_given(
    spec: dict[str, Any], guest: Guest
) -> None:
    store = ValkeyStore(spec, told=guest.spec())
    store.touch("run-of-guest")
    functions = ValkeyClient.of(store.spec())
    large = bytes(9 << 20)
    functions.write("run-of-guest", "v-1", [b"some", b"thing"])
    functions.write("run-of-guest", "v-2", [large])
    assert bytes(functions.read("run-of-guest", "v-1")) == b"something"
    assert bytes(store.get("run-of-guest", "v-2")) == large
    assert functions.ended("run-of-guest") == ""
    assert spec["password"] not in repr(store.spec())
    store.drop("run-of-guest")


@pytest.mark.parametrize(
    "command", ["GET other", "SET other x", "KEYS *", "FLUSHALL", "CONFIG GET *", "ACL LIST", "INFO"]
)
def test_a_guest_may_do_nothing_else(guest: Guest, command: str) -> None:
    told = asked(guest.spec(), *command.split())
    assert isinstance(told, Refused)
    assert told.code == "NOPERM"


def test_a_guest_is_gone_when_its_session_is(spec: dict[str, Any]) -> None:
    guest = invited(spec)
    assert guest is not None
    assert guest.name in users(spec)
    guest.leave()
    assert guest.name not in users(spec)


def test_a_fork_that_ends_leaves_its_parents_guest(spec: dict[str, Any], guest: Guest) -> None:
    child = os.fork()
    if child == 0:
        guest.leave()
        os._exit(0)
    os.waitpid(child, 0)
    assert guest.name in users(spec)


def test_a_later_session_deletes_what_a_killed_one_left_long_ago(spec: dict[str, Any]) -> None:
    old = f"graphlambda-{int(time.time() - LONGEST_S - 60)}-12345678"
    young = f"graphlambda-{int(time.time())}-12345678"
    for name in (old, young):
        asked(spec, "ACL", "SETUSER", name)
    guest = invited(spec)
    assert guest is not None
    assert users(spec) & {old, young, guest.name} == {young, guest.name}
    guest.leave()
    asked(spec, "ACL", "DELUSER", young)


def test_functions_are_not_sent_the_password_where_a_server_makes_no_users(guest: Guest) -> None:
    with pytest.raises(ConfigError, match=r"makes no user.*\?functions=name:password"):
        invited(guest.spec())


def test_functions_are_sent_the_user_that_a_url_names_for_them(tcp_url: str, guest: Guest) -> None:
    url = f"{tcp_url}?functions={guest.name}:p%2Fw"
    spec = spec_of(url)
    assert named(url, spec) == {**spec, "user": guest.name, "password": "p/w"}
    assert named(tcp_url, spec) is None


def test_a_server_without_a_password_has_none_to_keep(own_url: str) -> None:
    assert invited(spec_of(own_url)) is None


def test_no_password_is_shown(guest: Guest) -> None:
    assert guest.password not in repr(guest)
    assert guest.owner["password"] not in repr(guest)
