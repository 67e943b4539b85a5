"""A run stays while it is held, and no longer."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import graphlambda
from graphlambda.errors import StoreError
from graphlambda.store import FileStore, Lease
from graphlambda.store.leases import Released, Renewal
from graphlambda.testing.stores import FaultyStore


def test_a_lease_begins_and_drops_its_run(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    with Lease(store, "run") as lease:
        store.put("run", "v-1", [b"a"])
        assert lease.held
    assert (lease.held, store.runs()) == (False, {})
    lease.release()


def test_a_lease_that_nobody_refers_to_drops_its_run(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    lease = Lease(store, "run", Renewal(every_s=0.001))
    time.sleep(0.02)
    assert list(store.runs()) == ["run"]
    del lease
    deadline_s = time.monotonic() + 5
    while store.runs() and time.monotonic() < deadline_s:  # the renewal may just hold it
        gc.collect()
    assert store.runs() == {}


def test_a_held_lease_is_renewed(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    lease = Lease(store, "run", Renewal(every_s=0.01))
    os.utime(tmp_path / "run" / ".lease", (0, 0))
    deadline_s = time.monotonic() + 5
    while store.runs()["run"] > 60 and time.monotonic() < deadline_s:
        time.sleep(0.005)
    assert store.runs()["run"] < 60
    lease.release()


def test_a_renewal_never_begins_a_released_run_again(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    lease = Lease(store, "run", Renewal(every_s=0.001))
    lease.release()
    lease.renew()
    time.sleep(0.01)
    assert store.runs() == {}


def test_an_unavailable_store_is_asked_again(tmp_path: Path) -> None:
    store = FaultyStore(FileStore(tmp_path), lambda method, before: method == "touch" and before == 1)
    lease = Lease(store, "run", Renewal(every_s=1000))
    os.utime(tmp_path / "run" / ".lease", (0, 0))
    deadline_s = time.monotonic() + 5
    while store.runs()["run"] > 60 and time.monotonic() < deadline_s:
        lease.renew()
    assert store.runs()["run"] < 60
    lease.release()


def test_a_release_that_the_store_refuses_says_so(tmp_path: Path) -> None:
    lease = Lease(FaultyStore(FileStore(tmp_path), lambda method, _: method == "drop"), "run")
    with pytest.raises(StoreError, match="drop number 0"):
        lease.release()


def test_a_pickled_lease_holds_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    lease = Lease(store, "run")
    copy = pickle.loads(pickle.dumps(lease))
    assert (type(copy), copy.run, copy.held) == (Released, "run", False)
    del copy
    assert list(store.runs()) == ["run"]
    lease.release()


CLIENT = """
import os, sys, time
from pathlib import Path
from graphlambda.store import FileStore, Lease
lease = Lease(FileStore(Path(sys.argv[1])), "run")
if sys.argv[2] == "fork" and os.fork() == 0:
    sys.exit()
if sys.argv[2] != "exit":
    print("held", flush=True)
    time.sleep(60)
"""


def client(root: Path, what: str) -> subprocess.Popen[str]:
    """Start a client that holds a run."""
    arguments = [sys.executable, "-c", CLIENT, str(root), what]
    home = str(Path(graphlambda.__path__[0]).parent)
    return subprocess.Popen(arguments, cwd=home, stdout=subprocess.PIPE, text=True)


def test_a_client_that_ends_drops_its_runs(tmp_path: Path) -> None:
    with client(tmp_path, "exit") as ended:
        assert ended.wait(30) == 0
    assert FileStore(tmp_path).runs() == {}


def test_a_later_client_sweeps_what_a_killed_one_held_but_not_what_one_holds_that_only_sleeps(
    tmp_path: Path,
) -> None:
    later = FileStore(tmp_path, clock=lambda: time.time() + 601)
    with client(tmp_path, "hold") as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.send_signal(signal.SIGSTOP)
        swept = later.sweep(older_than_s=600)
        holder.kill()
    assert (swept, list(later.runs())) == ((), ["run"])
    assert later.sweep(older_than_s=600) == ("run",)


def test_a_forked_childs_end_drops_nothing(tmp_path: Path) -> None:
    with client(tmp_path, "fork") as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        time.sleep(0.2)
        assert list(FileStore(tmp_path).runs()) == ["run"]
        parent.kill()


def test_leases_of_one_store_do_not_wait_for_another_that_is_out_of_reach(tmp_path: Path) -> None:
    silent, over = threading.Event(), threading.Event()

    def hang(method: str, before: int) -> bool:
        if method == "touch" and before:
            silent.set()
            over.wait(30)
        return False

    renewal = Renewal(every_s=0.01)
    hanging = Lease(FaultyStore(FileStore(tmp_path / "hanging"), hang), "run", renewal)
    assert silent.wait(5)
    store = FileStore(tmp_path / "well")
    leases = [Lease(store, f"run-{number}", renewal) for number in range(20)]
    for lease in leases:
        os.utime(tmp_path / "well" / lease.run / ".lease", (0, 0))
    deadline_s = time.monotonic() + 5
    while max(store.runs().values()) > 60 and time.monotonic() < deadline_s:
        time.sleep(0.005)
    assert max(store.runs().values()) < 60
    over.set()
    for lease in [hanging, *leases]:
        lease.release()
