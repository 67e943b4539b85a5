"""The local Lambda's service: one port, behind which everything else of this folder is put together.

In: settings. Out: a `Service` that answers on loopback until it is closed. Must not outlive who started it: see `process`.
"""

from __future__ import annotations

import asyncio
import base64
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from graphlambda.local import gate, host, limits
from graphlambda.local.answers import Answer, ServiceError, document
from graphlambda.local.catalogue import Catalogue
from graphlambda.local.client import PRIVATE
from graphlambda.local.control import ControlPlane, host_runtime
from graphlambda.local.events import EventQueue, new_request_id
from graphlambda.local.http import Connection, Reply, Request
from graphlambda.local.invocation import Invocation, Result
from graphlambda.local.launcher import Launcher, Surroundings
from graphlambda.local.names import qualified
from graphlambda.local.plan import Sight
from graphlambda.local.pool import FORESEEN, Pool
from graphlambda.local.settings import Credentials, Description, LocalSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.local.records import Function

_INVOKE = ("/2015-03-31/functions/", "/invocations")


class Service(gate.Guarded):
    """Everything behind the port."""

    def __init__(self, settings: LocalSettings, credentials: Credentials) -> None:
        self._settings = settings
        self.credentials = credentials
        self._catalogue = Catalogue(settings.state)
        self._client = host.client_kind(settings.client)
        runtime = host.runtime_folder(settings.state, self._client)
        self._level = host.isolation(settings, runtime)
        launcher = Launcher(
            settings.state,
            self._catalogue,
            runtime,
            level=self._level,
            client=self._client,
            network=settings.network,
        )
        self._pool = Pool(
            launcher,
            Surroundings(sight=self._sight(settings.visible)),
            concurrency=settings.concurrency,
            environments=settings.environments,
            freed=self._drain_events,
        )
        self._events = EventQueue(self._catalogue.function, self._pool.invoke, settings.event_retry_s)
        self._awaited: dict[Reply, str] = {}
        """Synchronous invocations by who waits for them."""
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="graphlambda-control")

    async def open(self, port: int = 0) -> str:
        """Listen on loopback, and return the endpoint's URL.

        Raises:
            OSError: the port is taken.
        """
        self._loop = asyncio.get_running_loop()
        self._control = ControlPlane(
            self._catalogue,
            concurrency=self._settings.concurrency,
            architecture=host.architecture(),
            objects=self._settings.objects,
            wanted=lambda name: self._in_loop(partial(self._foresee, name)),
            deleted=lambda name: self._in_loop(partial(self._pool.forget, name)),
        )
        self._server = await self._loop.create_server(
            lambda: Connection(self), "127.0.0.1", port, backlog=1024
        )
        port = self._server.sockets[0].getsockname()[1]
        self._gate = gate.Gate(self.credentials, port)
        self._reserve(self._reserved())
        self._endpoint = f"http://127.0.0.1:{port}"
        self._loop.call_soon(self._warm)
        return self._endpoint

    async def close(self) -> None:
        """Answer nothing more, and end all environments."""
        self._server.close()
        await self._pool.close()
        self._threads.shutdown()

    def describe(self) -> Description:
        """Return what this service is."""
        return Description(
            endpoint=self._endpoint,
            isolation=self._level,
            tmp_limited=self._level == "namespaces",
            files_limited=self._level != "plain",
            network=self._settings.network,
            client=self._client,
            python=host_runtime().removeprefix("python"),
            architecture=host.architecture(),
            concurrency=self._settings.concurrency,
            environments=len(self._pool),
            parents=self._pool.parents,
        )

    # --- the App of the port -------------------------------------------------------------------------------------

    def serve(self, request: Request, reply: Reply) -> None:
        """Answer a request: Invoke here, the control plane in its thread."""
        self._gate.check(request)
        path = request.head.path
        if path.startswith(_INVOKE[0]) and path.endswith(_INVOKE[1]) and request.head.method == "POST":
            self._invoke(unquote(path[len(_INVOKE[0]) : -len(_INVOKE[1])]), request, reply)
        elif path.startswith(PRIVATE):
            reply(self._private(request))
        else:
            self._threads.submit(self._answer, request, reply)

    def lost(self, reply: Reply) -> None:
        """End the invocation that nobody waits for any more.

        Lambda would let it go on; here it would hold the processor of whoever has just pressed Ctrl-C.
        """
        if (request_id := self._awaited.pop(reply, None)) is not None:
            self._pool.abandon(request_id)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _answer(self, request: Request, reply: Reply) -> None:
        """Answer a call to the control plane; runs in its thread."""
        try:
            answer = self._control.answer(request)
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: a defect is a 500, never silence
            answer = ServiceError(500, "ServiceException", f"{type(error).__name__}: {error}").answer()
        if request.head.method != "GET":
            self._in_loop(partial(self._reserve, self._reserved()))
        self._in_loop(partial(reply, answer))

    def _drain_events(self) -> None:
        if self._events:
            self._loop.call_soon(self._events.drain)

    def _in_loop(self, action: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(action)

    def _warm(self) -> None:
        """Have parents ready for what the service before used: the client needs a while until it invokes anything."""
        self._pool.warm(self._catalogue.used_before(FORESEEN))

    def _foresee(self, name: str) -> None:
        with suppress(ServiceError):  # it may be gone again
            self._pool.warm([self._catalogue.function(name)])

    def _reserved(self) -> int:
        return sum(function.reserved or 0 for function in self._catalogue.functions())

    def _reserve(self, reserved: int) -> None:
        self._pool.unreserved_limit = self._settings.concurrency - reserved

    def _invoke(self, name: str, request: Request, reply: Reply) -> None:
        headers = request.head.headers
        function = self._catalogue.version(*qualified(name))
        kind = headers.get("x-amz-invocation-type", "RequestResponse")
        check_payload(kind, request.body)
        request_id = new_request_id()
        if kind == "DryRun":
            reply(Answer(204))
        elif kind == "Event":
            self._events.put(request_id, function.name, request.body or b"{}")
            reply(Answer(202, b"", (("x-amzn-RequestId", request_id),)))
        else:
            self._run(function, request_id, request, reply)

    def _run(self, function: Function, request_id: str, request: Request, reply: Reply) -> None:
        tail = request.head.headers.get("x-amz-log-type") == "Tail"

        def done(result: Result) -> None:
            self._awaited.pop(reply, None)
            reply(invoked(request_id, result))

        invocation = Invocation(id=request_id, payload=request.body or b"{}", done=done, tail=tail)
        self._pool.invoke(function, invocation)
        self._awaited[reply] = request_id

    def _private(self, request: Request) -> Answer:
        """Answer the service's own client."""
        match request.head.method, request.head.path[len(PRIVATE) :]:
            case "GET", "describe":
                return document(200, asdict(self.describe()))
            case "POST", "visible":
                paths = tuple(Path(path) for path in _body(request)["paths"])
                self._pool.surround(replace(self._pool.surroundings, sight=self._sight(paths)))
                return Answer(204)
            case "POST", "identity":
                identity = dict(_body(request)["variables"])
                self._pool.surround(replace(self._pool.surroundings, identity=identity))
                return Answer(204)
        raise ServiceError(404, "UnknownOperationException", f"The local Lambda has no {request.head.path}")

    def _sight(self, visible: tuple[Path, ...]) -> Sight:
        return Sight(visible=visible, hidden=(self._settings.state, *self._settings.hidden))


def check_payload(kind: str, payload: bytes) -> None:
    """Return if Lambda would take this payload.

    Raises:
        ServiceError: it is too large, no JSON, or there is no such kind of invocation.
    """
    allowed = {
        "RequestResponse": limits.SYNC_PAYLOAD_BYTES,
        "Event": limits.EVENT_PAYLOAD_BYTES,
        "DryRun": limits.SYNC_PAYLOAD_BYTES,
    }
    if kind not in allowed:
        raise ServiceError(400, "InvalidParameterValueException", f"There is no invocation type {kind}")
    if len(payload) > allowed[kind]:
        raise ServiceError(
            413,
            "RequestTooLargeException",
            f"{len(payload)} byte payload is too large for the {kind} invocation type (limit {allowed[kind]} bytes)",
        )
    if payload and payload.lstrip()[:1] not in _JSON_STARTS:
        raise ServiceError(400, "InvalidRequestContentException", "Could not parse request body into json")


_JSON_STARTS = {bytes([character]) for character in b'{["-0123456789tfn'}
"""A cheap look: a whole parse of 6 MB would hold up every other invocation, and the runtime parses it anyway."""


def invoked(request_id: str, result: Result) -> Answer:
    """Return the answer to a synchronous invocation."""
    headers = [("X-Amz-Executed-Version", "$LATEST"), ("x-amzn-RequestId", request_id)]
    if result.function_error:
        headers.append(("X-Amz-Function-Error", result.function_error))
    if result.log:
        headers.append(("X-Amz-Log-Result", base64.b64encode(result.log).decode()))
    return Answer(result.status, result.payload, tuple(headers))


def _body(request: Request) -> Any:
    try:
        return json.loads(request.body)
    except ValueError as error:
        raise ServiceError(
            400, "SerializationException", "Could not parse the request body as JSON"
        ) from error
