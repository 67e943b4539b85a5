"""/tmp has the size that was asked for, and what a function unpacks there ends with a clear error when it is full."""

from __future__ import annotations

import importlib.util
import inspect
import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

from graphlambda.packager.elf import shorten
from graphlambda.runtime import faults, unpack

if TYPE_CHECKING:
    from tests.local.conftest import Account

FILL = """
import errno, os
def handle(mb, context):
    with open('/tmp/fill', 'wb') as file:
        try:
            os.posix_fallocate(file.fileno(), 0, mb << 20)
        except OSError as error:
            return errno.errorcode[error.errno]
    os.unlink('/tmp/fill')
"""

UNPACK = """
import json, os
from ours import unpack
def handle(mb, context):
    with open('/tmp/fill', 'wb') as file:
        os.posix_fallocate(file.fileno(), 0, mb << 20)
    deps = json.load(open('/var/task/deps.json'))
    try:
        unpack.unpack(deps, ['/var/task/piece'], '/tmp')
    except unpack.UnpackingError as error:
        return str(error), sorted(os.listdir('/tmp'))
    return sorted(os.listdir('/tmp'))
"""


@pytest.fixture(autouse=True)
def _limited(account: Account) -> None:
    if not account.service.describe().tmp_limited:
        pytest.skip("the size of /tmp is enforced where namespaces are allowed")


@pytest.mark.parametrize("size_mb", [512, 600])
def test_tmp_holds_what_was_asked_for_and_no_more(account: Account, size_mb: int) -> None:
    name = account.make(FILL, EphemeralStorage={"Size": size_mb})
    assert account.value(name, size_mb - 1) is None
    assert account.value(name, size_mb + 1) == "ENOSPC"


def package(account: Account) -> bytes:
    """Return a function that unpacks an archive whose `deps.json` promises that it takes no room."""
    digest, content = "5f0c" * 16, bytes(3 << 20)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", pax_headers={"comment": digest}) as tar:
        info = tarfile.TarInfo("large")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    deps = {"digest": digest, "files": 1, "size_bytes": len(content), "room_bytes": 0}
    backend = importlib.util.find_spec("zstandard.backend_c")
    assert backend is not None
    assert backend.origin is not None
    decoder = Path(backend.origin)
    files: dict[str, str | bytes] = {
        "app.py": UNPACK,
        "ours/__init__.py": "",
        "ours/unpack.py": inspect.getsource(unpack),
        "ours/faults.py": inspect.getsource(faults),
        "zstandard/__init__.py": inspect.getsource(zstandard),
        f"zstandard/{decoder.name}": shorten(decoder.read_bytes()),
        "deps.json": json.dumps(deps),
        "piece": zstandard.ZstdCompressor(write_checksum=True).compress(plain.getvalue()),
    }
    return account.zipped(files)


def test_a_tmp_that_fills_up_while_a_function_unpacks_is_told_with_sizes_and_left_clean(
    account: Account,
) -> None:
    name = account.make("", Code={"ZipFile": package(account)}, EphemeralStorage={"Size": 512})
    said, left = account.value(name, 510)
    assert said == "The distributions of this operation need 0 MB in /tmp, which had 2 MB left"
    assert left == ["fill"]
    roomy = account.make("", Code={"ZipFile": package(account)}, EphemeralStorage={"Size": 520})
    assert account.value(roomy, 510) == ["fill", "graphlambda-deps-5f0c5f0c5f0c5f0c"]
