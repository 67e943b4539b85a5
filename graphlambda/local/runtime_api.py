"""Lambda's Runtime API for one execution environment.

In: requests of the environment's own process, and no other's. Out: invocations to it; its responses to the environment.
Must not know what an invocation is for. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

AWS's runtime client sends no credentials, so a connection is judged by the process at its other end; ours sends a
token, which works where the kernel does not say whose a connection is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from graphlambda.local import limits
from graphlambda.local.answers import Answer, ServiceError

if TYPE_CHECKING:
    from graphlambda.local.http import Head, Reply, Request

_API = "/2018-06-01/runtime"
_ACCEPTED = Answer(202, b'{"status":"OK"}')


class Host(Protocol):
    """The environment that a port belongs to."""

    def is_own(self, peer: tuple[str, int]) -> bool:
        """Return whether a connection comes from the environment's process."""

    def has_token(self, token: str) -> bool:
        """Return whether this is the process's secret."""

    def next(self, reply: Reply) -> None:
        """Answer with the next invocation, when there is one."""

    def respond(self, request_id: str, body: bytes, *, failed: bool) -> bool:
        """Take a response or an error; return whether its invocation runs here."""

    def respond_too_large(self) -> None:
        """Take note of a response that is not read."""

    def fail_to_start(self, body: bytes) -> None:
        """Take the error of an initialisation."""


class RuntimeApi:
    """The App on an environment's port."""

    body_bytes = 1 << 40
    """Nothing is refused by the parser: `admit` must see what is too large."""

    answers_together = True

    def __init__(self, host: Host, *, by_token: bool) -> None:
        self._host = host
        self._by_token = by_token

    def accepts(self, peer: tuple[str, int]) -> bool:
        """Return whether the peer is the environment's process, where its connection tells."""
        return self._by_token or self._host.is_own(peer)

    def admit(self, head: Head) -> None:
        """Refuse strangers, and responses that are too large.

        Raises:
            ServiceError: 403 or 413.
        """
        if self._by_token and not self._host.has_token(head.headers.get("graphlambda-token", "")):
            raise ServiceError(403, "Forbidden", "This port serves the process that it was made for")
        if head.length > limits.RESPONSE_BYTES:
            self._host.respond_too_large()
            raise ServiceError(
                413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({head.length} bytes)."
            )

    def serve(self, request: Request, reply: Reply) -> None:
        """Answer one of the Runtime API's calls.

        Raises:
            ServiceError: there is no such call, or its invocation does not run here.
        """
        head = request.head
        if not head.path.startswith(_API):
            raise ServiceError(404, "NotFound", f"The Runtime API has no {head.path}")
        match (head.method, *head.path[len(_API) :].split("/")[1:]):
            case ("GET", "invocation", "next"):
                self._host.next(reply)
            case ("POST", "invocation", request_id, "response" | "error" as kind):
                if not self._host.respond(request_id, request.body, failed=kind == "error"):
                    raise ServiceError(400, "InvalidRequestID", "Invalid request ID")
                reply(_ACCEPTED)
            case ("POST", "init", "error"):
                reply(_ACCEPTED)
                self._host.fail_to_start(request.body)
            case _:
                raise ServiceError(404, "NotFound", f"The Runtime API has no {head.method} {head.path}")

    def lost(self, reply: Reply) -> None:
        """A process that leaves while it waits is ending; its end is seen elsewhere."""
