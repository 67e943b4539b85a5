"""A Cloud over boto3: AWS itself, or any endpoint that speaks Lambda's REST calls.

In: `Call`s and names. Out: what the service reports, in our nouns. All of AWS's errors become `CloudError`
here. Decides nothing about what should exist.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as UnreachableError
from botocore.session import get_session

from graphlambda.deployer.functions import (
    AccountLimits,
    Call,
    Configuration,
    Deployed,
    DeployedFunction,
    DeployedLayer,
    Made,
    Provisioned,
    version_of,
)
from graphlambda.deployer.plan import FAILED, READY
from graphlambda.deployer.retry import UNREACHABLE, Paces, backoff, paces_of, remedy
from graphlambda.deployer.threads import LOOKERS, AtOnce, at_once
from graphlambda.errors import CloudError, DeployTimeoutError

READ_TIMEOUT_S = 120
"""An upload of a large layer is unpacked before it is answered."""

PAGE = 50
"""Functions that one answer to ListFunctions lists."""

ACTIVE_TIMEOUT_S = 300.0
"""As long as AWS's own waiter `function_active_v2` waits; functions outside a VPC take seconds."""

UNKNOWN_S = 10.0
"""How long AWS's reads may lag behind what was made; AWS promises no bound."""

POLL_S, NEAR_POLL_S = (0.5, 1.0), (0.01, 1.0)
"""Shortest and longest wait between two looks: AWS is ready in seconds, the local Lambda in milliseconds."""

_LIBC = "x-graphlambda-libc"
"""A header of GetAccountSettings by which the local Lambda says what C library its functions have."""

_ABSENT, _DENIED = "ResourceNotFoundException", "AccessDeniedException"


def aws_cloud(region: str) -> AwsCloud:
    """Return the account of the user's own credentials chain, paced to what AWS takes of a whole process."""
    core = boto3.session.Session(botocore_session=get_session())
    client = core.client("lambda", region_name=region, config=_config())
    paces = paces_of(client.meta.endpoint_url)
    return AwsCloud(client, endpoint=region, paces=paces, poll_s=POLL_S, unknown_s=UNKNOWN_S)


def endpoint_cloud(endpoint: str, region: str, *, access_key: str, secret_key: str) -> AwsCloud:
    """Return what answers at `endpoint`, unpaced; neither the user's AWS identity nor a proxy is used."""
    core = get_session()
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
        """Make one call of a plan."""
        try:
            answer = self._send(call.method, _with_bytes(call.params))
        except CloudError as error:
            if call.method == "create_function" and error.code == "ResourceConflictException":
                return Made("", new=False)
            raise
        arn = str(answer.get("LayerVersionArn") or answer.get("FunctionArn") or "")
        code_sha256 = answer.get("CodeSha256") or answer.get("Content", {}).get("CodeSha256", "")
        return Made(arn, new=True, code_sha256=code_sha256)

    def layer_version(self, arn: str) -> DeployedLayer:
        """Return one version of a layer."""
        layer, _, number = arn.rpartition(":")
        return _read_layer(
            self._send("get_layer_version", {"LayerName": layer, "VersionNumber": int(number)})
        )

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
        """Look, first often and then each second, until the function can be invoked."""
        start_s = self.clock()
        pause_s, longest_s = self.poll_s
        while True:
            function = self._function(name)
            waited_s = self.clock() - start_s
            if function is not None and function.state in READY:
                return function
            if function is None and waited_s >= self.unknown_s:
                raise CloudError(f"get_function {name}", _ABSENT, f"Function not found: {name}")
            if function is not None:
                _still_pending(name, function, waited_s)
            self.sleep(pause_s)
            pause_s = min(longest_s, pause_s * 1.5)

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
            return _read_function(self._send("get_function", {"FunctionName": name}))
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
    """Return a client's settings: no retries of its own, since ours are typed and bounded."""
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


def _read_function(answer: Mapping[str, Any]) -> DeployedFunction:
    """Translate what GetFunction answers."""
    report = answer["Configuration"]
    placed = report.get("VpcConfig") or {}
    return DeployedFunction(
        arn=report["FunctionArn"],
        state=report.get("State", "Active"),
        reason=report.get("StateReason", ""),
        configuration=Configuration(
            code_sha256=report["CodeSha256"],
            role=report["Role"],
            runtime=report.get("Runtime", ""),  # an image has neither: somebody else's
            handler=report.get("Handler", ""),
            architecture=report["Architectures"][0],
            memory_mb=report["MemorySize"],
            timeout_s=report["Timeout"],
            ephemeral_mb=report["EphemeralStorage"]["Size"],
            environment=tuple(sorted(report.get("Environment", {}).get("Variables", {}).items())),
            layers=tuple(layer["Arn"].split(":")[-2] for layer in report.get("Layers", ())),
            subnets=tuple(sorted(placed.get("SubnetIds", ()))),
            security_groups=tuple(sorted(placed.get("SecurityGroupIds", ()))),
            snap_start=report.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions",
        ),
        layers=tuple(layer["Arn"] for layer in report.get("Layers", ())),
        tags=answer.get("Tags") or {},
        age_s=_age_s(report.get("LastModified", "")),
        reserved=answer.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
    )


def _read_layer(answer: Mapping[str, Any]) -> DeployedLayer:
    """Translate what GetLayerVersion answers."""
    return DeployedLayer(
        answer["LayerVersionArn"],
        answer.get("Description", ""),
        answer["Content"]["CodeSha256"],
        _age_s(answer.get("CreatedDate", "")),
    )


def _age_s(date: str) -> float:
    """Return how long ago it was; 0 where nobody says. A date without a zone is Greenwich's."""
    if not date:
        return 0.0
    then = datetime.fromisoformat(date)
    return (datetime.now(UTC) - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()
