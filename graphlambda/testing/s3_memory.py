"""An S3 server without a server: it answers a `Bucket`'s exchanges from memory, and gives trouble as a network would.

In: requests as `runtime.http1.Http` takes them, a clock, what befalls each exchange. Out: answers. Must not look at
signatures, nor know uploads in parts: servers of their own do (see `s3_servers`).
"""

from __future__ import annotations

import time
from collections import Counter
from email.utils import formatdate
from hashlib import md5
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote
from xml.etree.ElementTree import fromstring
from xml.sax.saxutils import escape

from graphlambda.runtime.frame import allocate
from graphlambda.runtime.http1 import Answer, Headers, Http
from graphlambda.runtime.identity import Keys
from graphlambda.store.s3 import Location
from graphlambda.testing.requests import UnfitRequestError, http_breaches, s3_operation
from graphlambda.testing.troubled import SLOW_DOWN, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphlambda.runtime.bucket import Bucket
    from graphlambda.runtime.frame import Buffer
    from graphlambda.runtime.http1 import Place

KEYS = Keys("AKIDMEMORY", "secret")
_BROKEN = frozenset({Trouble.ANSWER_LOST, Trouble.TRUNCATED})
_NO_TROUBLE: Callable[[], Trouble] = lambda: Trouble.NONE  # noqa: E731


def _check(method: str, target: str, headers: Mapping[str, str]) -> None:
    """Return if S3's model knows a request. Raises UnfitRequestError."""
    path, _, query = target.partition("?")
    asked = dict(parse_qsl(query, keep_blank_values=True))
    operation = s3_operation(method, path.removeprefix("/bucket").lstrip("/"), asked)
    found = (
        list(http_breaches("s3", operation, headers, asked)) if operation else [f"{method} {target} is none"]
    )
    if found:
        raise UnfitRequestError("; ".join(found))


class MemoryS3(Http):
    """One bucket; also the connections to it. Objects appear whole or not at all, conditions hold as S3's do."""

    def __init__(
        self, trouble: Callable[[], Trouble] = _NO_TROUBLE, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__("http://s3.memory")
        self.clock = clock
        self.seen: Counter[Trouble] = Counter()
        self._trouble = trouble
        self._objects: dict[str, tuple[bytes, float]] = {}

    def location(self, prefix: str) -> Location:
        """Return a place in the bucket."""
        return Location(bucket="bucket", prefix=prefix, region="us-east-1", endpoint="http://s3.memory")

    def bucket(self, prefix: str) -> Bucket:
        """Return the objects below a prefix, for a client that never pauses."""
        return self.location(prefix).objects(lambda: KEYS, pause=lambda _seconds: None, http=self)

    def keys(self) -> list[str]:
        """Return the keys of all objects, sorted."""
        return sorted(self._objects)

    def exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        parts: Sequence[Buffer] = (),
        *,
        place: Place | None = None,
    ) -> Answer:
        """Do what a request asks for, unless something is in the way; see `Http.exchange`."""
        _check(method, target, headers)
        trouble = self._trouble()
        self.seen[trouble] += 1
        if trouble is Trouble.SLOW_DOWN:
            return self._answer(503, SLOW_DOWN)
        if trouble is Trouble.UNREACHED:
            raise ConnectionResetError("injected: reset before the request was sent")
        if trouble is Trouble.SILENT:
            raise TimeoutError("injected: no answer")
        answer = self._done(method, target, headers, parts, place)
        if trouble in _BROKEN:
            raise ConnectionError(f"injected: {trouble}")
        return answer

    def _done(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        parts: Sequence[Buffer],
        place: Place | None,
    ) -> Answer:
        path, _, query = target.partition("?")
        key = unquote(path).removeprefix("/bucket").lstrip("/")
        match method:
            case "PUT":
                return self._put(key, headers, b"".join(parts))
            case "POST":
                return self._delete(
                    [element.text or "" for element in fromstring(b"".join(parts)).iter("Key")]
                )
            case "DELETE":
                return self._delete([key])
            case _ if not key:
                return self._list(dict(parse_qsl(query, keep_blank_values=True)))
            case _:
                return self._get(key, place, bodiless=method == "HEAD")

    def _put(self, key: str, headers: Mapping[str, str], content: bytes) -> Answer:
        there = self._objects.get(key)
        wanted = headers.get("If-Match", "")
        if wanted and there is None:
            return self._answer(404, _error("NoSuchKey"))
        if (there is not None and "If-None-Match" in headers) or (
            there and wanted and wanted != _tag(there[0])
        ):
            return self._answer(412, _error("PreconditionFailed"))
        self._objects[key] = (content, self.clock())
        return self._answer(200, etag=_tag(content))

    def _get(self, key: str, place: Place | None, *, bodiless: bool) -> Answer:
        if key not in self._objects:
            return self._answer(404, b"" if bodiless else _error("NoSuchKey"))
        content, _ = self._objects[key]
        if bodiless:
            return self._answer(200, etag=_tag(content), length=len(content))
        body = allocate(len(content)) if place is None else place(200, len(content))
        body[:] = content[: len(body)]
        return Answer(200, self._headers(_tag(content), len(content)), body)

    def _delete(self, keys: Sequence[str]) -> Answer:
        for key in keys:
            self._objects.pop(key, None)
        return self._answer(200, b"<DeleteResult></DeleteResult>")

    def _list(self, asked: Mapping[str, str]) -> Answer:
        below, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
        keys = [] if "uploads" in asked else [key for key in self.keys() if key.startswith(below)]
        cut = {key: key.find(delimiter, len(below)) if delimiter else -1 for key in keys}
        folders = dict.fromkeys(key[: end + 1] for key, end in cut.items() if end >= 0)
        items = chain(
            (self._listed(key) for key, end in cut.items() if end < 0),
            (f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in folders),
        )
        return self._answer(200, f"<Result>{''.join(items)}</Result>".encode())

    def _listed(self, key: str) -> str:
        content, written_s = self._objects[key]
        changed = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(written_s))
        told = f"<LastModified>{changed}</LastModified><Size>{len(content)}</Size>"
        return f"<Contents><Key>{escape(key)}</Key>{told}</Contents>"

    def _answer(self, status: int, body: bytes = b"", etag: str = "", length: int = 0) -> Answer:
        return Answer(status, self._headers(etag, length or len(body)), memoryview(bytearray(body)))

    def _headers(self, etag: str, length: int) -> Headers:
        date = formatdate(self.clock(), usegmt=True)
        return Headers(f"\r\nDate: {date}\r\nETag: {etag}\r\nContent-Length: {length}")


def _tag(content: bytes) -> str:
    return f'"{md5(content, usedforsecurity=False).hexdigest()}"'


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode()
