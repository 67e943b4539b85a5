"""A Cloud over boto3: AWS itself, or any endpoint that speaks Lambda's REST calls.

In: `Call`s and names. Out: what the service reports, in our nouns. All of AWS's errors become `CloudError`
here. Decides nothing about what should exist.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as UnreachableError
from botocore.session import get_session

from graphlambda.deployer.functions import (
    AccountLimits,
    Call,
    Deployed,
    DeployedFunction,
    DeployedLayer,
    Made,
    Provisioned,
    version_of,
)
from graphlambda.deployer.plan import DELETING, ENDING, FAILED, READY
from graphlambda.deployer.reports import read_function, read_layer
from graphlambda.deployer.retry import UNREACHABLE, Paces, backoff, paces_of, remedy
from graphlambda.deployer.threads import LOOKERS, AtOnce, at_once
from graphlambda.errors import CloudError, ConfigError, DeployTimeoutError

T = TypeVar("T")

READ_TIMEOUT_S = 120
"""An upload of a large layer is unpacked before it is answered."""

PAGE = 50
"""Functions that one answer to ListFunctions lists."""

ACTIVE_TIMEOUT_S = 300.0
"""As long as AWS's own waiter `function_active_v2` waits; functions outside a VPC take seconds."""

GONE_TIMEOUT_S = 2_700.0
"""How long a deletion may take: of a function in a VPC Lambda first takes its network interface back, in up to 40 minutes."""

UNKNOWN_S = 10.0
"""How long AWS's reads may lag behind what was made; AWS promises no bound."""

POLL_S, NEAR_POLL_S = (0.5, 1.0), (0.01, 1.0)
"""Shortest and longest wait between two looks: AWS is ready in seconds, the local Lambda in milliseconds."""

_LIBC = "x-graphlambda-libc"
"""A header of GetAccountSettings by which the local Lambda says what C library its functions have."""

_NOBODYS = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
"""Variables of a botocore session that has no user: a profile that is not there does not keep anything from this machine."""

_ABSENT, _DENIED = "ResourceNotFoundException", "AccessDeniedException"
_CONFLICT = "ResourceConflictException"
"""The name is taken, or the function is being made, changed or deleted."""


@contextmanager
def configured() -> Iterator[None]:
    """Turn what botocore says of a user's own settings, when it makes sessions, clients and credentials, into our error.

    Raises:
        ConfigError: there is no such profile, a file cannot be read, an address is none …
    """
    try:
        yield
    except (BotoCoreError, ValueError) as error:  # ValueError: an address in AWS_ENDPOINT_URL
        raise ConfigError(
            f"the AWS settings cannot be used: {error}. Look at AWS_PROFILE (`aws configure list-profiles` shows what it "
            "may name), AWS_ENDPOINT_URL and ~/.aws"
        ) from error


def aws_cloud(region: str) -> AwsCloud:
    """Return the account of the user's own credentials chain, paced to what AWS takes of a whole process.

    Raises:
        ConfigError: the user's settings for AWS cannot be used.
    """
    with configured():
        core = boto3.session.Session(botocore_session=get_session())
        client = core.client("lambda", region_name=region, config=_config())
    paces = paces_of(client.meta.endpoint_url)
    return AwsCloud(client, endpoint=region, paces=paces, poll_s=POLL_S, unknown_s=UNKNOWN_S)


def endpoint_cloud(endpoint: str, region: str, *, access_key: str, secret_key: str) -> AwsCloud:
    """Return what answers at `endpoint`, unpaced; neither the user's profile, files and AWS identity nor a proxy is used."""
    core = get_session(_NOBODYS)
    core.set_credentials(access_key, secret_key)
    client = boto3.session.Session(botocore_session=core).client(
        "lambda", region_name=region, endpoint_url=endpoint, config=_config(proxies={})
    )
    return AwsCloud(client, endpoint=endpoint, session=lambda: core)


@dataclass(frozen=True, slots=True)
class AwsCloud:
    """Lambda's control plane through one boto3 client, which threads may share."""

    client: Any
    """boto3's client of Lambda. Its methods are called by name, as a plan gives them."""

    endpoint: str
    paces: Paces = field(default_factory=Paces)
    """Nobody's, by default: only AWS counts calls."""

    poll_s: tuple[float, float] = NEAR_POLL_S
    unknown_s: float = 0.0
    """How long a function that is waited for may be unknown to reads."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    at_once: AtOnce = at_once
    session: Callable[[], Any] = get_session
    """Gives a botocore session as the client's: Invoke, which boto3 does not call, takes what it finds."""

    def describe(self, *, functions: Iterable[str] = (), layers: Iterable[str] = ()) -> Deployed:
        """Return what there is; one GetFunction a function, ListLayerVersions and GetLayerVersion a layer."""
        named, versions = self._worth_a_look(tuple(functions)), tuple(layers)
        found = zip(named, self.at_once(self._function, named, threads=LOOKERS), strict=True)
        newest = zip(versions, self.at_once(self._layer, versions), strict=True)
        return Deployed(
            functions={name: function for name, function in found if function},
            layers={name: layer for name, layer in newest if layer},
        )

    def call(self, call: Call) -> Made:
        """Make one call of a plan; again, where the function it is about is not ready for it."""

        def made(waited_s: float) -> Made | None:
            try:
                return self._made(call)
            except CloudError as error:
                if error.code != _CONFLICT or waited_s > ACTIVE_TIMEOUT_S:
                    raise
                return Made("", new=False) if self._is_done(call) else None

        return self._until(made)

    def layer_version(self, arn: str) -> DeployedLayer:
        """Return one version of a layer."""
        layer, _, number = arn.rpartition(":")
        return read_layer(self._send("get_layer_version", {"LayerName": layer, "VersionNumber": int(number)}))

    def names(self, prefix: str) -> tuple[list[str], list[str]]:
        """Return the names of all functions, and of all layers, that begin so; 50 a call of the account's."""
        functions = (each["FunctionName"] for each in self._all("list_functions", "Functions"))
        layers = (each["LayerName"] for each in self._all("list_layers", "Layers"))
        return (
            [name for name in functions if name.startswith(prefix)],
            [name for name in layers if name.startswith(prefix)],
        )

    def versions(self, layer: str) -> list[str]:
        """Return the ARNs of all versions of a layer, the newest first."""
        pages = self._all("list_layer_versions", "LayerVersions", {"LayerName": layer})
        return [version["LayerVersionArn"] for version in _absent_is_empty(pages)]

    def wait_active(self, name: str) -> DeployedFunction:
        """Look until the function can be invoked."""

        def active(waited_s: float) -> DeployedFunction | None:
            function = self._function(name)
            if function is not None and function.state in READY:
                return function
            if function is None and waited_s >= self.unknown_s:
                raise CloudError(f"get_function {name}", _ABSENT, f"Function not found: {name}")
            if function is not None:
                _still_pending(name, function, waited_s)
            return None

        return self._until(active)

    def wait_gone(self, name: str) -> None:
        """Look until the function is gone."""

        def gone(waited_s: float) -> bool | None:
            function = self._function(name)
            if function is None or (function.state not in ENDING and waited_s >= self.unknown_s):
                return True
            if waited_s > GONE_TIMEOUT_S:
                raise DeployTimeoutError(
                    f"function {name!r} was deleted, and is still {function.state} after {GONE_TIMEOUT_S / 60:.0f} minutes "
                    f"({function.reason or 'Lambda gives no reason'}). Try again later to go on waiting"
                )
            return None

        self._until(gone)

    def provisioned(self, function: str) -> Provisioned | None:
        """Return what is initialised in advance of a version of a function."""
        try:
            answer = self._send("get_provisioned_concurrency_config", version_of(function))
        except CloudError as error:
            if error.code in {"ProvisionedConcurrencyConfigNotFoundException", "ResourceNotFoundException"}:
                return None
            raise
        return Provisioned(
            answer["RequestedProvisionedConcurrentExecutions"],
            answer["Status"],
            answer.get("StatusReason", ""),
        )

    def limits(self) -> AccountLimits:
        """Return what the account allows.

        Raises:
            CloudError: the control plane refused to say.
        """
        answer = self._send("get_account_settings", {})
        limit, usage = answer["AccountLimit"], answer["AccountUsage"]
        return AccountLimits(
            concurrency=limit["ConcurrentExecutions"],
            unreserved=limit["UnreservedConcurrentExecutions"],
            code_bytes=usage["TotalCodeSize"],
            most_code_bytes=limit["TotalCodeSize"],
            libc=answer["ResponseMetadata"]["HTTPHeaders"].get(_LIBC),
        )

    def _until(self, look: Callable[[float], T | None]) -> T:
        """Look, first often and then each second, until that brings something; each look is told for how long it was waited."""
        start_s = self.clock()
        pause_s, longest_s = self.poll_s
        while (found := look(self.clock() - start_s)) is None:
            self.sleep(pause_s)
            pause_s = min(longest_s, pause_s * 1.5)
        return found

    def _made(self, call: Call) -> Made:
        answer = self._send(call.method, _with_bytes(call.params))
        arn = str(answer.get("LayerVersionArn") or answer.get("FunctionArn") or "")
        code_sha256 = answer.get("CodeSha256") or answer.get("Content", {}).get("CodeSha256", "")
        return Made(arn, new=True, code_sha256=code_sha256)

    def _is_done(self, call: Call) -> bool:
        """Whether somebody else has done, or does, what a call asks for that met another: AWS says no more than that."""
        match call.method:
            case "create_function":
                found = self._function(call.subject)
                return found is not None and found.state not in ENDING
            case "delete_function":
                found = self._function(call.subject)
                return found is None or found.state == DELETING
        return False

    def _worth_a_look(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the functions that may be there: of many names, a list of all tells in fewer calls, if the account has few."""
        most = len(names) // PAGE * PAGE
        if not most:
            return names
        try:
            found = list(islice(self._all("list_functions", "Functions"), most + 1))
        except CloudError as error:
            if error.code == _DENIED:  # whoever only runs may look at each function, and not list them
                return names
            raise
        listed = {each["FunctionName"] for each in found}
        if len(listed) > most:
            return names
        return tuple(name for name in names if version_of(name)["FunctionName"] in listed)

    def _function(self, name: str) -> DeployedFunction | None:
        try:
            return read_function(self._send("get_function", {"FunctionName": name}))
        except CloudError as error:
            if error.code == _ABSENT:
                return None
            raise

    def _layer(self, name: str) -> DeployedLayer | None:
        """Return the newest version; AWS lists versions from the newest on."""
        pages = self._all("list_layer_versions", "LayerVersions", {"LayerName": name})
        newest = next(_absent_is_empty(pages), None)
        return self.layer_version(newest["LayerVersionArn"]) if newest else None

    def _all(
        self, method: str, member: str, params: Mapping[str, Any] = MappingProxyType({})
    ) -> Iterator[Any]:
        """Yield the items of a list, page by page."""
        marker: dict[str, str] = {}
        while True:
            page = self._send(method, {**params, **marker})
            yield from page[member]
            if not page.get("NextMarker"):
                return
            marker = {"Marker": page["NextMarker"]}

    def _send(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send one request, repeated as `retry` says; return the answer.

        Raises:
            CloudError: the service refused, or could not be reached as often as we try.
        """
        attempt = 0
        while True:
            self.paces.wait(method)
            try:
                return self._once(method, params)
            except CloudError as error:
                table = backoff(error.code, error.message)
                wait_s = table.wait_s(attempt) if table else None
                if wait_s is None:
                    raise
            attempt += 1
            self.sleep(wait_s)

    def _once(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        name = " ".join(filter(None, (method, params.get("FunctionName") or params.get("LayerName"))))
        try:
            answer: Mapping[str, Any] = getattr(self.client, method)(**params)
        except ClientError as error:
            details = error.response["Error"]
            code = details.get("Code", "")
            raise CloudError(name, code, details.get("Message", "") + remedy(code)) from error
        except (HTTPClientError, UnreachableError) as error:
            raise CloudError(name, UNREACHABLE, f"{self.endpoint}: {error}") from error
        except BotoCoreError as error:
            raise CloudError(name, type(error).__name__, str(error)) from error
        return answer


def _config(**more: Any) -> Config:
    """Return a client's settings: no retries of its own, since ours are typed and bounded.

    When TCP looks for the other end, botocore lets nobody say. No call needs that: it is given up before a gateway forgets a
    silent connection (350 s); one that was forgotten while idle is reset when it is used again, and the call repeated.
    """
    return Config(
        connect_timeout=5,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=LOOKERS,
        retries={"mode": "standard", "total_max_attempts": 1},
        user_agent_extra="graphlambda",
        **more,
    )


def _absent_is_empty(items: Iterator[Any]) -> Iterator[Any]:
    """Yield items; none where what they belong to is not there."""
    try:
        yield from items
    except CloudError as error:
        if error.code != _ABSENT:
            raise


def _with_bytes(value: Any) -> Any:
    """Return params with each file's content in its place, read only now: a plan is small."""
    match value:
        case Path():
            return value.read_bytes()
        case Mapping():
            return {key: _with_bytes(item) for key, item in value.items()}
        case _:
            return value


def _still_pending(name: str, function: DeployedFunction, waited_s: float) -> None:
    """Return if it is worth to go on waiting.

    Raises:
        CloudError: its creation failed.
        DeployTimeoutError: it takes too long.
    """
    why = function.reason or "Lambda gives no reason"
    if function.state == FAILED:
        raise CloudError(f"creation of {name}", FAILED, why)
    if waited_s > ACTIVE_TIMEOUT_S:
        raise DeployTimeoutError(
            f"function {name!r} is still {function.state} after {ACTIVE_TIMEOUT_S:.0f} s ({why}). "
            "Deploy again to go on waiting"
        )
