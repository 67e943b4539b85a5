"""Calls the service's private routes.

In: an endpoint, credentials, a route's name and content. Out: the answer's JSON. Must not speak Lambda's own API:
any Lambda client does.
"""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from graphlambda.errors import LocalLambdaError
from graphlambda.local.names import REGION
from graphlambda.runtime.sigv4 import sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.local.settings import Credentials

PRIVATE = "/_graphlambda/"
"""Where the service's own client says what functions may see and who they are."""

_TIMEOUT_S = 10.0


def call(
    endpoint: str, credentials: Credentials, method: str, name: str, content: Mapping[str, Any] | None = None
) -> Any:
    """Return what a private route answers; None for an empty answer.

    Raises:
        OSError: nothing answers there.
        LocalLambdaError: the answer is a refusal.
    """
    body = b"" if content is None else json.dumps(content).encode()
    headers = sign(
        method,
        endpoint + PRIVATE + name,
        {},
        body,
        access_key=credentials.access_key,
        secret_key=credentials.secret_key,
        token=None,
        region=REGION,
        service="lambda",
        now=time.time(),
    )
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=_TIMEOUT_S)
    try:
        connection.request(method, PRIVATE + name, body, headers)
        response = connection.getresponse()
        answer = response.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"{endpoint} broke off its answer") from error
    finally:
        connection.close()
    if response.status >= 300:
        raise LocalLambdaError(f"The local Lambda refused {name} with {response.status}: {answer.decode()}")
    return json.loads(answer) if answer else None
