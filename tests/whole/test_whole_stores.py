"""Values in a Valkey server: one that is started for the user, or one that the user names. Nothing stays behind."""

from __future__ import annotations

import gc
import signal
import sys
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
import pytest

import graphlambda
from graphlambda.errors import ConfigError, StoreError
from graphlambda.store.valkey import ValkeyStore, spec_of
from graphlambda.testing.servers import free_port, valkey
from tests.whole.conftest import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.whole.conftest import Scripts

WANTED = (np.arange(400_000).reshape(4, -1).sum(axis=0) * 2.0).tolist()

ALL_TO_ALL = """
    import time
    import dask.array as da
    import graphlambda

    array = da.arange(400_000, chunks=100_000).reshape(4, -1).sum(axis=0) * 2.0
    (kept,) = graphlambda.persist(array, store="valkey")
    print(graphlambda.compute(kept, store="valkey")[0].sum(), flush=True)
    if WAIT:
        time.sleep(60)
"""


def test_values_go_through_a_server_of_ones_own() -> None:
    array = da.arange(400_000, chunks=100_000).reshape(4, -1).sum(axis=0) * 2.0
    assert graphlambda.compute(array, store="valkey", inline_bytes=0)[0].tolist() == WANTED


def test_values_go_through_a_server_that_the_user_names_and_leave_nothing_there(tmp_path: Path) -> None:
    array = da.arange(400_000, chunks=100_000).reshape(4, -1).sum(axis=0) * 2.0
    with valkey(tmp_path / "server") as url:
        (kept,) = graphlambda.persist(array, store=url)
        store = ValkeyStore(spec_of(url))
        assert len(store.runs()) == 1
        assert graphlambda.compute(kept, store=url)[0].tolist() == WANTED
        del kept
        gc.collect()  # a collection is part of a circle
        wait_for(lambda: store.runs() == {}, "the kept run is dropped")
        (keys,) = store._client.server.run([(b"KEYS", b"*")])
        assert keys == []


def test_a_url_that_names_no_server_is_refused_and_its_password_is_not_shown() -> None:
    with pytest.raises(ConfigError, match=r"store= must be file, valkey, or a URL") as caught:
        graphlambda.compute(da.ones(3), store="http://:secret@host")
    assert "secret" not in str(caught.value)


def test_a_server_that_the_client_does_not_reach_is_refused_with_a_remedy_before_anything_runs() -> None:
    with pytest.raises(StoreError, match=r"Nothing ran: .*or let values lie in a bucket"):
        graphlambda.compute(da.ones(3), store=f"redis://127.0.0.1:{free_port()}")


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes through /proc")
@pytest.mark.parametrize("end", ["good", "killed"])
def test_the_server_ends_with_its_client_however_that_ends(scripts: Scripts, end: str) -> None:
    with scripts.start(ALL_TO_ALL.replace("WAIT", str(end == "killed"))) as client:
        assert client.stdout is not None
        assert float(client.stdout.readline()) == sum(WANTED)
        if end == "killed":
            client.send_signal(signal.SIGKILL)
        client.communicate(timeout=60)
    wait_for(lambda: scripts.left() == [], "no process is left")
