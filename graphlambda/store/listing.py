"""What only a client asks of a bucket: what is there, and that much of it be deleted at once.

In: a bucket and the beginning of keys. Out: keys and dates. Must not hold more than a page of an answer at a time.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from hashlib import md5
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree.ElementTree import Element, fromstring
from xml.sax.saxutils import escape

from graphlambda.errors import StoreError
from graphlambda.runtime.faults import ValueStoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphlambda.runtime.bucket import Bucket

_MOST_DELETED = 1000
"""Keys of one DeleteObjects request."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object that is there."""

    key: str
    """Without the bucket's prefix."""

    changed_s: float
    """When it was written, by the server's clock: seconds since the epoch."""

    size_bytes: int


def objects(bucket: Bucket, below: str) -> Iterator[Found]:
    """Yield the objects whose keys begin so, in order.

    Raises:
        ValueStoreError: the server refuses, or is unavailable.
    """
    for page in _pages(bucket, "list-type=2", below):
        for item in page.iterfind("{*}Contents"):
            changed = datetime.fromisoformat(_text(item, "LastModified"))
            size_bytes = int(_text(item, "Size"))
            yield Found(_key(bucket, _text(item, "Key")), changed.timestamp(), size_bytes)


def folders(bucket: Bucket) -> Iterator[str]:
    """Yield what comes before the first slash of keys, each once, in order; raises as `objects` does."""
    for page in _pages(bucket, "list-type=2&delimiter=%2F", ""):
        for item in page.iterfind("{*}CommonPrefixes"):
            yield _key(bucket, _text(item, "Prefix")).rstrip("/")


def abort_uploads(bucket: Bucket, below: str) -> None:
    """End the uploads in parts of objects whose keys begin so: who sends them is told; raises as `objects` does."""
    for page in _pages(bucket, "uploads=", below):
        for item in page.iterfind("{*}Upload"):
            key = _key(bucket, _text(item, "Key"))
            upload = quote(_text(item, "UploadId"), safe="")
            bucket.ask("DELETE", key, f"uploadId={upload}", good=(204, 404))


def delete_objects(bucket: Bucket, keys: Iterable[str]) -> None:
    """Delete objects, a thousand with each request; those that are not there are passed over.

    Raises:
        ValueStoreError: the server refuses, or is unavailable.
    """
    rest = iter(keys)
    while some := list(islice(rest, _MOST_DELETED)):
        listed = "".join(f"<Object><Key>{escape(bucket.prefix + key)}</Key></Object>" for key in some)
        body = f"<Delete><Quiet>true</Quiet>{listed}</Delete>".encode()
        digest = b64encode(md5(body, usedforsecurity=False).digest()).decode()
        answer = bucket.ask("POST", "", "delete=", headers={"Content-MD5": digest}, parts=[body])
        for failed in fromstring(bytes(answer.body)).iterfind("{*}Error"):  # noqa: S314  (expat bounds entities)
            raise ValueStoreError(f"{_text(failed, 'Key')} cannot be deleted: {_text(failed, 'Code')}")


def _pages(bucket: Bucket, query: str, below: str) -> Iterator[Element]:
    """Yield the pages of a list of objects or uploads."""
    query += f"&prefix={quote(bucket.prefix + below, safe='')}"
    place: str | None = ""
    while place is not None:
        page = fromstring(bytes(bucket.ask("GET", "", query + place).body))  # noqa: S314  (expat bounds entities)
        yield page
        place = _next(page)


def _next(page: Element) -> str | None:
    """Return the parameters that ask for the next page; None after the last."""
    if _text(page, "IsTruncated") != "true":
        return None
    if token := _text(page, "NextContinuationToken"):
        return f"&continuation-token={quote(token, safe='')}"
    key, upload = _text(page, "NextKeyMarker"), _text(page, "NextUploadIdMarker")
    return f"&key-marker={quote(key, safe='')}&upload-id-marker={quote(upload, safe='')}"


def _key(bucket: Bucket, key: str) -> str:
    if not key.startswith(bucket.prefix):
        raise StoreError(f"{bucket.url} lists {key!r}, which was not asked for")
    return key[len(bucket.prefix) :]


def _text(element: Element, tag: str) -> str:
    return element.findtext(f"{{*}}{tag}") or ""
