"""An account around a control plane that has none of its own: quotas, roles that are late, functions that are Pending.

In: requests and the time. Out: refusals, and answers with what only the account knows. Must not wait, read a clock or
speak HTTP: `front` does in real time, `virtual` in virtual time. One request at a time.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from graphlambda.local import names as local
from graphlambda.local.answers import Answer, ServiceError, document, invalid, not_found, throttled
from graphlambda.local.http import Head, Request
from graphlambda.local.names import function_name
from graphlambda.local.routes import Call, parse, route
from graphlambda.testing.account.conditions import Mishap
from graphlambda.testing.account.quotas import Begun, ControlQuotas, InvokeQuotas, Limits, Throttle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.testing.account.conditions import Dice
    from graphlambda.testing.account.quotas import Reason

ACCOUNT, REGION = "123456789012", "us-east-1"
"""The defaults: moto's account has this number."""

CODE_BYTES = 300 * 2**30
"""All code of an account and region."""

_KEPT = ("VpcConfig", "KMSKeyArn", "SnapStart", "TracingConfig", "FileSystemConfigs", "DeadLetterConfig")
"""Members of CreateFunction that the local Lambda passes over, and an account reports."""


@dataclass(slots=True)
class Ledger:
    """What an account has seen."""

    calls: Counter[str] = field(default_factory=Counter)
    """Control calls by operation, refused ones included."""

    throttles: Counter[Reason] = field(default_factory=Counter)
    mishaps: Counter[Mishap] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    """Other refusals of the account's own, by code."""

    invocations: int = 0
    """Those that were let in."""

    cold_starts: int = 0
    late_logs: int = 0
    """Cold starts whose log stream had to wait for others to be made."""

    most_running: int = 0


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an account knows of a function, and the local Lambda does not."""

    pending_until_s: float
    known_s: float
    """From when on every read finds it."""

    kept: Mapping[str, Any]
    """Members of its configuration."""

    report: Mapping[str, Any]
    """What GetFunction tells of it while it is deleted."""

    log_group: str


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that the account lets pass."""

    operation: str
    """boto3's name of it."""

    call: Call
    request: Request
    """What the control plane behind gets."""


class LaterError(ServiceError):
    """A refusal that says when to come again."""

    def __init__(self, error: ServiceError, retry_after_s: float) -> None:
        super().__init__(error.status, error.code, error.message, **error.fields)
        self.retry_after_s = retry_after_s

    def answer(self) -> Answer:
        """Return the error as a client reads it; whole seconds, as a header has them."""
        told = super().answer()
        return replace(told, headers=(*told.headers, ("Retry-After", str(math.ceil(self.retry_after_s)))))


class Account:
    """One account and region."""

    def __init__(self, limits: Limits, dice: Dice, *, account: str = ACCOUNT, region: str = REGION) -> None:
        self.ledger = Ledger()
        self.limits = limits
        self.dice = dice
        self.invocations = InvokeQuotas(limits)
        self._control = ControlQuotas(limits)
        self._functions: dict[str, Remembered] = {}
        self._ending: dict[str, tuple[float, Remembered]] = {}
        """Functions that are deleted, and until when they are about to be."""
        self._layers: dict[str, float] = {}
        """Since when every read finds a layer version, by ARN."""
        self._roles: dict[str, float] = {}
        """From when on Lambda can assume a role."""
        self._networks: set[str] = set()
        """Subnets and security groups that have an interface."""
        self._arns = (f"lambda:{local.REGION}:{local.ACCOUNT}:", f"lambda:{region}:{account}:")

    def befalls(self) -> Mishap:
        """Draw what befalls the next request."""
        mishap = self.dice.mishap()
        if mishap is not Mishap.NONE:
            self.ledger.mishaps[mishap] += 1
        return mishap

    def refuse(self, mishap: Mishap) -> None:
        """Return if a request that this befalls is looked at all the same.

        Raises:
            ServiceError: it is not.
        """
        if mishap is Mishap.THROTTLED:
            raise self._throttled(Throttle(self.dice.reason(), 1.0))
        if mishap is Mishap.UNAVAILABLE:
            raise ServiceError(self.dice.status(), "ServiceException", "An error occurred")

    # ---- the control plane -------------------------------------------------------------------------------

    def asked(self, request: Request, now_s: float) -> Passed:
        """Return a request that the account lets pass.

        Raises:
            ServiceError: it does not.
        """
        operation, named = route(request.head)
        self.ledger.calls[operation] += 1
        if throttle := self._control.ask(operation, now_s):
            raise self._throttled(throttle)
        call = parse(request, named)
        try:
            if check := getattr(self, f"_before_{operation}", None):
                check(call, now_s)
        except ServiceError as refused:
            self.ledger.refusals[refused.code] += 1
            raise
        return Passed(operation, call, self._inward(request, operation, call))

    def told(self, passed: Passed, answer: Answer, now_s: float) -> Answer:
        """Return what the account answers, where the control plane behind answers this."""
        if passed.operation == "get_function" and (ending := self._deleting(passed.call, now_s)):
            return document(200, ending.report)
        body = _renamed(answer.body, *self._arns)
        change = getattr(self, f"_after_{passed.operation}", None)
        if answer.status >= 300 or change is None:
            return replace(answer, body=body)
        changed = change(passed.call, json.loads(body or b"{}"), now_s)
        return replace(answer, body=body if changed is None else document(200, changed).body)

    def _inward(self, request: Request, operation: str, call: Call) -> Request:
        """Return what the control plane behind gets: its own ARNs; of reservations, which are ours, a question."""
        if operation in _RESERVING:
            path = f"/2015-03-31/functions/{function_name(call.names['function'])}/configuration"
            return Request(Head("GET", path, "", {}, 0), b"")
        inner, outer = self._arns
        renamed = partial(_renamed, before=outer, after=inner)
        path, query = (renamed(text.encode()).decode() for text in (request.head.path, request.head.query))
        body = renamed(request.body)
        head = replace(request.head, path=path, query=query, length=len(body))
        return Request(head, body)

    # ---- invocations -------------------------------------------------------------------------------------

    def begin(self, function: str, now_s: float) -> Begun:
        """Let an invocation in; `end` gives it back.

        Raises:
            ServiceError: there is no room, or the function is not ready.
        """
        standing = self._functions.get(function)
        if standing is not None and now_s < standing.pending_until_s:
            self.ledger.refusals["ResourceConflictException"] += 1
            raise _conflict("Pending")
        begun = self.invocations.begin(function, now_s)
        if isinstance(begun, Throttle):
            raise self._throttled(begun)
        self._note(begun)
        return begun

    def end(self, function: str, now_s: float) -> None:
        """Take back an invocation that is over."""
        self.invocations.end(function, now_s)

    def log_group(self, function: str) -> str:
        """Return where a function's log goes."""
        standing = self._functions.get(function)
        return standing.log_group if standing else f"/aws/lambda/{function}"

    # ---- inside ------------------------------------------------------------------------------------------

    def _note(self, begun: Begun) -> None:
        ledger = self.ledger
        ledger.invocations += 1
        ledger.cold_starts += begun.cold
        ledger.late_logs += begun.log_late_s > 0
        ledger.most_running = max(ledger.most_running, self.invocations.running())

    def _throttled(self, throttle: Throttle) -> ServiceError:
        self.ledger.throttles[throttle.reason] += 1
        return LaterError(throttled(throttle.reason), throttle.retry_after_s)

    def _deleting(self, call: Call, now_s: float) -> Remembered | None:
        """Return what stood under a name that is not free yet."""
        name = function_name(call.names.get("function") or call.body["FunctionName"])
        until_s, standing = self._ending.get(name, (now_s, None))
        return standing if now_s < until_s else None

    def _before_delete_function(self, call: Call, now_s: float) -> None:
        if self._deleting(call, now_s):
            raise _conflict("Deleting")

    def _before_create_function(self, call: Call, now_s: float) -> None:
        self._before_delete_function(call, now_s)
        memory_mb, role = call.body.get("MemorySize", 128), call.body.get("Role", "")
        if isinstance(memory_mb, int) and memory_mb > self.limits.memory_mb:
            raise invalid(
                f"'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to "
                f"{self.limits.memory_mb}"
            )
        if role not in self._roles:
            self._roles[role] = now_s + self.dice.wait_s("role_late")
        if now_s < self._roles[role]:
            raise invalid("The role defined for the function cannot be assumed by Lambda.")

    def _after_create_function(self, call: Call, content: dict[str, Any], now_s: float) -> dict[str, Any]:
        kept = {member: call.body[member] for member in _KEPT if call.body.get(member)}
        kind = self._pending_kind(kept.get("VpcConfig", {}))
        self._functions[content["FunctionName"]] = Remembered(
            now_s + self.dice.wait_s(kind),
            now_s + self.dice.wait_s("stale"),
            kept,
            {
                "Configuration": {
                    **content,
                    **kept,
                    "State": "Deleting",
                    "StateReason": "It is being deleted.",
                },
                "Tags": call.body.get("Tags"),
            },
            content["LoggingConfig"]["LogGroup"],
        )
        return {**content, **kept}

    def _pending_kind(self, vpc: Mapping[str, Any]) -> str:
        """Return what a new function waits for: for an interface, if no other has made one for its network."""
        network = json.dumps([sorted(vpc.get(member, ())) for member in ("SubnetIds", "SecurityGroupIds")])
        if not vpc.get("SubnetIds") or network in self._networks:
            return "pending"
        self._networks.add(network)
        return "pending_vpc"

    def _before_get_function(self, call: Call, now_s: float) -> None:
        name = function_name(call.names["function"])
        standing = self._functions.get(name)
        if standing is not None and now_s < standing.known_s and self.dice.coin():
            raise not_found(f"Function not found: {name}")

    _before_get_function_configuration = _before_get_function

    def _after_get_function(self, _call: Call, content: dict[str, Any], now_s: float) -> dict[str, Any]:
        configuration = self._configuration(content["Configuration"], now_s)
        reserved = self.invocations.reserved(configuration["FunctionName"])
        told = {**content, "Configuration": configuration, "Concurrency": None}
        return told if reserved is None else {**told, "Concurrency": _reservation(reserved)}

    def _after_get_function_configuration(
        self, _call: Call, content: dict[str, Any], now_s: float
    ) -> dict[str, Any]:
        return self._configuration(content, now_s)

    def _after_list_functions(self, _call: Call, content: dict[str, Any], now_s: float) -> dict[str, Any]:
        found = [self._configuration(each, now_s) for each in content["Functions"]]
        known = [each for each in found if self._finds(self._functions.get(each["FunctionName"]), now_s)]
        return {**content, "Functions": known}

    def _finds(self, standing: Remembered | None, now_s: float) -> bool:
        return standing is None or now_s >= standing.known_s or self.dice.coin()

    def _configuration(self, configuration: Mapping[str, Any], now_s: float) -> dict[str, Any]:
        standing = self._functions.get(configuration["FunctionName"])
        if standing is None:
            return dict(configuration)
        pending = {"State": "Pending", "StateReasonCode": "Creating", "StateReason": "It is being created."}
        return {**configuration, **standing.kept, **(pending if now_s < standing.pending_until_s else {})}

    def _after_delete_function(self, call: Call, _content: dict[str, Any], now_s: float) -> None:
        name = function_name(call.names["function"])
        if standing := self._functions.pop(name, None):
            self._ending[name] = now_s + self.dice.wait_s("deleting"), standing
        self.invocations.forget(name)

    def _after_publish_layer_version(self, _call: Call, content: dict[str, Any], now_s: float) -> None:
        self._layers[content["LayerVersionArn"]] = now_s + self.dice.wait_s("stale")

    def _after_list_layer_versions(
        self, _call: Call, content: dict[str, Any], now_s: float
    ) -> dict[str, Any]:
        behind = self.dice.coin()
        known = [
            version
            for version in content["LayerVersions"]
            if not behind or now_s >= self._layers.get(version["LayerVersionArn"], 0.0)
        ]
        return {**content, "LayerVersions": known}

    def _before_put_function_concurrency(self, call: Call, _now_s: float) -> None:
        wanted = call.body.get("ReservedConcurrentExecutions")
        name = function_name(call.names["function"])
        if not isinstance(wanted, int) or wanted < 0:
            raise invalid("ReservedConcurrentExecutions must be a whole number of at least 0")
        if not self.invocations.may_reserve(name, wanted):
            raise invalid(
                "Specified ReservedConcurrentExecutions for function decreases account's "
                f"UnreservedConcurrentExecution below its minimum value of [{self.limits.unreserved}]."
            )

    def _after_put_function_concurrency(
        self, call: Call, _content: dict[str, Any], _now_s: float
    ) -> dict[str, Any]:
        wanted = call.body["ReservedConcurrentExecutions"]
        self.invocations.reserve(function_name(call.names["function"]), wanted)
        return _reservation(wanted)

    def _after_get_function_concurrency(
        self, call: Call, _content: dict[str, Any], _now_s: float
    ) -> dict[str, Any]:
        return _reservation(self.invocations.reserved(function_name(call.names["function"])))

    def _after_delete_function_concurrency(self, call: Call, _content: dict[str, Any], _now_s: float) -> None:
        self.invocations.reserve(function_name(call.names["function"]), None)

    def _after_get_account_settings(
        self, _call: Call, content: dict[str, Any], _now_s: float
    ) -> dict[str, Any]:
        limit = {
            **content["AccountLimit"],
            "TotalCodeSize": CODE_BYTES,
            "ConcurrentExecutions": self.limits.concurrency,
            "UnreservedConcurrentExecutions": self.invocations.unreserved,
        }
        return {**content, "AccountLimit": limit}


_RESERVING = frozenset(
    {"put_function_concurrency", "get_function_concurrency", "delete_function_concurrency"}
)
"""Calls that the account answers: what stands behind is only asked whether the function is there."""


def _conflict(state: str) -> ServiceError:
    told = f"The operation cannot be performed at this time. The function is currently in the following state: {state}"
    return ServiceError(409, "ResourceConflictException", told)


def _reservation(wanted: int | None) -> dict[str, Any]:
    return {} if wanted is None else {"ReservedConcurrentExecutions": wanted}


def _renamed(text: bytes, before: str, after: str) -> bytes:
    """Return text with one account in place of another, in ARNs as they are and as a path has them."""
    for old, new in ((before, after), (quote(before, safe=""), quote(after, safe=""))):
        text = text.replace(old.encode(), new.encode())
    return text
