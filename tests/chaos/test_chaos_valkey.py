"""Runs whose values lie in a real Valkey server that is restarted, cut off, full, or short of memory."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.runtime.resp import Address, Server
from graphlambda.store.server import OwnServer, binary
from graphlambda.store.valkey import ValkeyStore
from graphlambda.testing.chaos import BEARABLE, Fault, scenario
from graphlambda.testing.chaos_ground import Ground
from graphlambda.testing.chaos_play import play
from graphlambda.testing.servers import free_port
from tests.chaos.test_chaos import subject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphlambda.testing.chaos_figures import Figures

PASSWORD = "chaos"
SCENARIOS = 8
"""Of each trouble."""


class TroubledServer:
    """A server on one port, whatever happens to it."""

    def __init__(self, folder: Path) -> None:
        self.spec = {"kind": "valkey", "host": "127.0.0.1", "port": free_port(), "password": PASSWORD}
        self._folder = folder
        self._started = 0
        self._evicts = False
        self.start()

    def start(self) -> None:
        self._started += 1
        folder = self._folder / str(self._started)
        folder.mkdir()
        settings = {"bind": "127.0.0.1", "port": str(self.spec["port"]), "requirepass": PASSWORD}
        self._server = OwnServer(binary(), folder, settings)
        self._server.wait_for(self._address)

    def close(self) -> None:
        self._server.close()

    def restart(self) -> None:
        self.close()
        self.start()

    def cut(self) -> None:
        self._tell(b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"yes")

    def fill(self, policy: bytes) -> None:
        """Leave room for less than lies in it."""
        self._evicts = policy != b"noeviction"
        self._evicts = policy != b"noeviction"
        self._tell(b"CONFIG", b"SET", b"maxmemory-policy", policy)
        used = re.search(rb"used_memory:(\d+)", bytes(self._tell(b"INFO", b"memory")))
        assert used
        self._tell(b"CONFIG", b"SET", b"maxmemory", b"%d" % (int(used[1]) - 20_000))

    def left(self) -> list[str]:
        """Return the keys that are there: of a server that evicts, those that will never expire."""
        keys: Any = self._tell(b"KEYS", b"*")
        return [f"{bytes(key)!r}" for key in keys if not self._evicts or self._tell(b"TTL", bytes(key)) == -1]

    def ground(self) -> Ground:
        return Ground(
            store=lambda _clock: ValkeyStore(self.spec),
            left=self.left,
            incidents={
                Fault.RESTARTED: self.restart,
                Fault.CUT_OFF: self.cut,
                Fault.FULL: partial(self.fill, b"noeviction"),
                Fault.EVICTING: partial(self.fill, b"allkeys-random"),
            },
        )

    @property
    def _address(self) -> Address:
        return Address({name: value for name, value in self.spec.items() if name != "kind"})

    def _tell(self, *words: bytes) -> Any:
        server = Server(self._address)
        (told,) = server.run([words])
        server.close()
        return told


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TroubledServer]:
    made = TroubledServer(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("number", range(SCENARIOS))
@pytest.mark.parametrize("trouble", [Fault.RESTARTED, Fault.CUT_OFF, Fault.FULL, Fault.EVICTING])
def test_whatever_happens_to_the_server_a_run_gives_dasks_values_or_the_error_that_it_may_end_with(
    trouble: Fault, number: int, server: TroubledServer, tmp_path: Path, figures: Figures
) -> None:
    faults = (trouble, Fault.DUPLICATED, Fault.LATE)
    drawn = replace(
        scenario(number), faults=faults, rate=0.3, most=BEARABLE, inline_bytes=0, storm_s=(0.0, 0.0)
    )
    (tmp_path / "operations").mkdir()
    figures.add(play(drawn, subject(drawn, tmp_path / "operations"), server.ground()))
