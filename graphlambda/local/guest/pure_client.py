"""A Lambda runtime client in plain Python, for platforms that awslambdaric has no wheel for.

In: the Runtime API's address and the token that it asks for, a handler's name. Out: never returns.
Must not differ from awslambdaric in what the service sees: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import sys
import time
import traceback

TYPE_CHECKING = False  # the typing module costs 4 ms of a cold start
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_API = "/2018-06-01/runtime"


class Context:
    """What a handler learns of its invocation; members as in AWS's Python context object."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None
        self._deadline_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Return how long this invocation may still run."""
        return max(0, self._deadline_ms - int(time.time() * 1000))


class Client:
    """One kept connection to the Runtime API."""

    def __init__(self, address: str, token: str) -> None:
        self._connection = http.client.HTTPConnection(address)
        self._headers = {"Content-Type": "application/json", "Graphlambda-Token": token}

    def next(self) -> tuple[Mapping[str, str], bytes]:
        """Wait for an invocation; return its headers and payload."""
        return self._call("GET", "/invocation/next", b"")

    def post(self, path: str, body: bytes) -> None:
        """Hand over a response or an error."""
        self._call("POST", path, body)

    def _call(self, method: str, path: str, body: bytes) -> tuple[Mapping[str, str], bytes]:
        self._connection.request(method, _API + path, body or None, self._headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status >= 300:
            raise ConnectionError(f"the Runtime API answered {method} {path} with {response.status}")
        return dict(response.headers), content


def serve(address: str, token: str, handler: str) -> None:
    """Load the handler and answer invocations with it, until the process is ended."""
    client = Client(address, token)
    try:
        function = load(handler)
    except Exception as error:  # noqa: BLE001 - whatever the user's module raises is its initialisation error
        client.post("/init/error", described(_init_error(error, handler)))
        sys.exit(1)
    while True:
        headers, payload = client.next()
        context = Context(headers)
        path, body = outcome(function, payload, context)
        sys.stdout.flush()
        sys.stderr.flush()
        client.post(f"/invocation/{context.aws_request_id}/{path}", body)


def load(handler: str) -> Callable[[Any, Context], Any]:
    """Return the callable that `module.name` names."""
    module, _, name = handler.rpartition(".")
    function: Callable[[Any, Context], Any] = getattr(importlib.import_module(module.replace("/", ".")), name)
    return function


def outcome(function: Callable[[Any, Context], Any], payload: bytes, context: Context) -> tuple[str, bytes]:
    """Return which of `response` and `error` an invocation ended with, and its body."""
    try:
        result = function(json.loads(payload), context)
        return "response", result if isinstance(result, bytes) else json.dumps(result).encode()
    except Exception as error:  # noqa: BLE001 - an error of the user's function is an answer, as in AWS's client
        return "error", described(error, context.aws_request_id)


def described(error: BaseException, request_id: str = "") -> bytes:
    """Return an error as Lambda's Python runtime describes it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    content = {
        "errorMessage": str(error),
        "errorType": error.name if isinstance(error, _InitError) else type(error).__name__,
        "requestId": request_id,
        "stackTrace": traceback.format_list(frames),
    }
    return json.dumps(content).encode()


class _InitError(Exception):
    """An error of initialisation, under the name that Lambda's runtime gives it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def _init_error(error: Exception, handler: str) -> Exception:
    module, _, name = handler.rpartition(".")
    if isinstance(error, ImportError):
        return _InitError("Runtime.ImportModuleError", f"Unable to import module '{module}': {error}")
    if isinstance(error, AttributeError):
        return _InitError("Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module}'")
    return error
