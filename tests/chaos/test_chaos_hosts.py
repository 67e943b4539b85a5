"""Client, functions and store on three hosts: all that passes between them is late, and connections are cut."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
import pytest

import graphlambda
from graphlambda.runtime.resp import Address, Server
from graphlambda.store.server import binary
from graphlambda.testing.hosts import LOOPBACK, Host, why_not
from graphlambda.testing.links import Link, Network, here
from graphlambda.testing.servers import free_ports
from tests.chaos.test_chaos_processes import graph

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from _pytest.tmpdir import TempPathFactory

CUTS = 3
"""Of each link while something runs: of fewer attempts than a task has."""

LONGEST_S = 120
"""How long a run may take before it is cancelled, which fails its test."""


@dataclass(frozen=True)
class Hosts:
    """The functions' host and the store's, as this one reaches them."""

    network: Network
    lambda_port: int
    store_port: int
    password: str

    def compute(self, work: Any, **settings: Any) -> list[Any]:
        """Return what runs give while connections are cut; the functions are made before."""
        settings |= {
            "endpoint": f"http://{LOOPBACK}:{self.lambda_port}",
            "store": f"redis://:{self.password}@{LOOPBACK}:{self.store_port}",
            "deadline_s": LONGEST_S,
            "progress": False,
        }
        program = graphlambda.compile(work, **settings)
        deployment = graphlambda.deploy(program, **settings)
        storm = self.network.storm(CUTS)
        given = [graphlambda.run(program, deployment, **settings)[0]]
        while not storm.done():
            given += graphlambda.run(program, deployment, **settings)
        assert storm.result() > 0, "no connection was cut"
        return given

    def keys(self) -> list[str]:
        """Return what lies in the store."""
        server = Server(Address({"host": LOOPBACK, "port": self.store_port, "password": self.password}))
        (keys,) = server.run([(b"KEYS", b"*")])
        server.close()
        return [bytes(key).decode() for key in keys]


def functions(port: int) -> Host:
    ours = {name: value for name, value in os.environ.items() if name.startswith("GRAPHLAMBDA_")}
    command = [sys.executable, "-P", "-m", "graphlambda", "local", "--port", str(port)]
    return Host(command, {"PATH": os.defpath, "LANG": "C.UTF-8", **ours})


def store(folder: Path, port: int, password: str) -> Host:
    settings = {"bind": LOOPBACK, "port": port, "requirepass": password, "save": '""', "dir": folder}
    configuration = folder / "valkey.conf"
    configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    return Host([binary(), configuration], {})


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: TempPathFactory) -> Iterator[Hosts]:
    if why := why_not():
        pytest.skip(why)
    (lambda_port, store_port), password = free_ports(2), secrets.token_hex(16)
    with ExitStack() as ending:
        theirs = ending.enter_context(functions(lambda_port))
        stores = ending.enter_context(store(tmp_path_factory.mktemp("store"), store_port, password))
        stores.wait_for(store_port)
        theirs.wait_for(lambda_port)
        links = [
            Link(lambda_port, here, theirs.socket),
            Link(store_port, here, stores.socket),
            Link(store_port, theirs.socket, stores.socket),
        ]
        network = ending.enter_context(Network(links, Random(0)))
        yield Hosts(network, lambda_port, store_port, password)


def test_runs_of_the_users_functions_give_dasks_values(hosts: Hosts) -> None:
    work = graph(Random(0))
    given = hosts.compute(work, idempotent=True)
    (expected,) = dask.compute(work, scheduler="sync")
    np.testing.assert_array_equal(given, [expected] * len(given))
    assert hosts.keys() == []


def test_runs_of_dasks_own_operations_give_dasks_values(hosts: Hosts) -> None:
    array = da.from_array(np.random.default_rng(0).random((400, 400)), chunks=(200, 200))
    work = (array @ array.T).rechunk((400, 200)).std(axis=0)
    given = hosts.compute(work)
    (expected,) = dask.compute(work, scheduler="sync")
    np.testing.assert_allclose(given, [expected] * len(given), rtol=1e-12)
    assert hosts.keys() == []
