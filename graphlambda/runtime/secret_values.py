"""Secrets of the user's own, read by this function's role before its operation is imported.

In: JSON of variables and the ARNs of what they hold: secrets of Secrets Manager, parameters of SSM. Out: the variables, in
this process's environment. Must not say a secret, nor keep it anywhere else.

A variable that somebody else has set stays: a local function has it from its client.
Sources: AWS, Secrets Manager, GetSecretValue; Systems Manager, GetParameter (a name may be an ARN); AWS SDKs, "Service-specific
endpoints".
"""

from __future__ import annotations

import json
import os
import socket
import time

from .faults import SecretError, ValueStoreError
from .http1 import Http
from .identity import function_keys
from .sigv4 import sign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PATIENCE_S = 6.0
"""For how long all secrets together are asked for again where that may help: initialisation, as a restore, has ten seconds in
all; and SSM answers 40 requests a second of an account, unless it pays for more."""

WAITS_S = 0.2, 1.5
CONNECT_S, CALM_S = 1.0, 2.0
"""Longest that one address of a service may take to answer, and longest silence of it then."""

_OK, _BROKEN = 200, 500
_TARGETS = {"secretsmanager": "secretsmanager.GetSecretValue", "ssm": "AmazonSSM.GetParameter"}
_ENDPOINTS = {"secretsmanager": "AWS_ENDPOINT_URL_SECRETS_MANAGER", "ssm": "AWS_ENDPOINT_URL_SSM"}
_RIGHTS = {"secretsmanager": "secretsmanager:GetSecretValue", "ssm": "ssm:GetParameter"}

_read: set[str] = set()
"""Names of variables that were set here."""


def read_secrets(
    told: str,
    *,
    anew: bool = False,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Set the variables that `told` names; `anew`: those, too, that were read before.

    Raises:
        SecretError: one cannot be read; it says which, why, and what to do.
    """
    services = _Services(clock, pause)
    for name, arn in json.loads(told).items():
        if name not in os.environ or (anew and name in _read):
            os.environ[name] = services.value(name, arn)
            _read.add(name)


class _Services:
    """What holds secrets, asked over kept connections and within one time for all of them."""

    def __init__(self, clock: Callable[[], float], pause: Callable[[float], None]) -> None:
        self._clock = clock
        self._pause = pause
        self._until_s = clock() + PATIENCE_S
        self._kept: dict[str, Http] = {}

    def value(self, name: str, arn: str) -> str:
        """Return a secret; raises as `read_secrets` does."""
        service = arn.split(":")[2]
        answer = self._asked(name, arn, service)
        found = answer["Parameter"].get("Value") if service == "ssm" else answer.get("SecretString")
        if not isinstance(found, str):
            raise _error(name, arn, "it is no text, and a variable holds nothing else")
        return found

    def _asked(self, name: str, arn: str, service: str) -> dict[str, Any]:
        """Return a service's answer, asked again where that may help while there is time."""
        wanted = {"Name": arn, "WithDecryption": True} if service == "ssm" else {"SecretId": arn}
        wait_s, longest_s = WAITS_S
        while True:
            try:
                status, answer = self._exchanged(arn, service, json.dumps(wanted).encode())
            except ValueStoreError as error:
                raise _error(name, arn, "this function has no AWS identity") from error
            except (OSError, ValueError) as error:
                why, passes = f"{service} is out of reach: {error}", True
            else:
                if status == _OK:
                    return answer
                code = str(answer.get("__type", status)).rpartition("#")[2]
                why = f"{code}: {answer.get('message') or answer.get('Message') or 'no reason is given'}"
                passes = status >= _BROKEN or "Throttl" in code
            if not passes or self._clock() + wait_s > self._until_s:
                raise _error(name, arn, why)
            self._pause(wait_s * (0.5 + os.urandom(1)[0] / 255))  # many start at once: not in step
            wait_s = min(longest_s, 2 * wait_s)

    def _exchanged(self, arn: str, service: str, body: bytes) -> tuple[int, dict[str, Any]]:
        _, partition, _, region, *_ = arn.split(":")
        url = _endpoint(service, region, partition)
        keys = function_keys()
        headers = sign(
            "POST",
            f"{url}/",
            {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": _TARGETS[service]},
            body,
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            token=keys.token,
            region=region,
            service=service,
            now=time.time(),
        )
        if url not in self._kept:
            self._kept[url] = Http(url, os.environ.get("AWS_CA_BUNDLE"), CALM_S, _dialled)
        answer = self._kept[url].exchange("POST", "/", headers, [body])
        return answer.status, json.loads(bytes(answer.body) or b"{}")


def _dialled(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, CONNECT_S)


def _endpoint(service: str, region: str, partition: str) -> str:
    domain = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    named = os.environ.get(_ENDPOINTS[service]) or os.environ.get("AWS_ENDPOINT_URL")
    return (named or f"https://{service}.{region}.{domain}").rstrip("/")


def _error(name: str, arn: str, why: str) -> SecretError:
    service = arn.split(":")[2]
    return SecretError(
        f"the secret {name} cannot be read from {arn}: {why}. It must be there, and this function's role needs "
        f"{_RIGHTS[service]} on it and, where its key is your own, kms:Decrypt on that: `graphlambda aws init --secret ARN` gives both, of secret and key"
    )
