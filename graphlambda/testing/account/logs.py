"""What functions write, brought to CloudWatch Logs as Lambda brings it: by line, into the group that the function names.

In: a group, a stream and the end of an invocation's log. Out: events in Logs. Must not make a group: Lambda does only where
a role allows it, and ours allow it nowhere.
"""

from __future__ import annotations

import json
import threading
import time
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from graphlambda.runtime.sigv4 import sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.runtime.identity import Keys

_TARGET = "Logs_20140328."
_TIMEOUT_S = 30.0


class Logs:
    """CloudWatch Logs at an endpoint; used from any thread."""

    def __init__(self, endpoint: str, region: str, keys: Keys) -> None:
        self._endpoint = endpoint
        self._region = region
        self._keys = keys
        self._made: set[tuple[str, str]] = set()
        self._guard = threading.Lock()

    def put(self, group: str, stream: str, text: str) -> None:
        """Add lines to a stream, which is made at its first; without the group, or the service, they are lost, as Lambda's are."""
        where = {"logGroupName": group, "logStreamName": stream}
        now_ms = int(time.time() * 1000)
        events = [{"timestamp": now_ms, "message": line} for line in text.splitlines() if line.strip()]
        try:
            with self._guard:
                if (group, stream) not in self._made:
                    self._ask("CreateLogStream", where)
                    self._made.add((group, stream))
            if events:
                self._ask("PutLogEvents", {**where, "logEvents": events})
        except (OSError, HTTPException):
            return

    def _ask(self, operation: str, content: Mapping[str, Any]) -> None:
        body = json.dumps(content).encode()
        told = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": _TARGET + operation}
        signed = sign(
            "POST", f"{self._endpoint}/", told, body, access_key=self._keys.access_key,
            secret_key=self._keys.secret_key, token=None, region=self._region, service="logs", now=time.time(),
        )  # fmt: skip
        connection = HTTPConnection(urlsplit(self._endpoint).netloc, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", "/", body, signed)
            connection.getresponse().read()
        finally:
            connection.close()
