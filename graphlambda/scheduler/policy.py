"""What follows when an invocation brings nothing, or a task ends with an error.

In: outcomes. Out: decisions. Pure: must not know a run's state, time or the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

from graphlambda.errors import (
    AuthenticationError,
    EnvironmentLostError,
    InvokeError,
    LostValueError,
    MissingModuleError,
    OutcomeUnknownError,
    OutOfMemoryError,
    RunError,
    StoreError,
    ThrottledError,
    TimedOutError,
)
from graphlambda.scheduler.kinds import Failed, Kind

if TYPE_CHECKING:
    from random import Random

E = TypeVar("E", bound=RunError)

STORE_ATTEMPTS = 8
"""How often a task is tried whose store failed it: about ten seconds, in which a server has started again."""

STORE_CALLS = 7
"""How often the client calls a store that is down: about five seconds."""

STRAGGLER_TIMES = 3.0
"""How many times longer than 95% of its operation's others an invocation takes that gets a backup."""

STRAGGLER_S = 1.0
"""What is over sooner is not worth a backup."""

BACKUP_SHARE = 20
"""One in so many invocations in flight may be a backup."""

MOST_LOSSES = 3
"""How often the store may lose one value: the run ends then."""

MOST_AGAIN = 2
"""How often a run's tasks may run again for what the store lost, on average."""

UNREADABLE = frozenset({"lost", "damaged", "authentication"})
"""Kinds of the wire's errors that say that a task could not read what it was sent, or was to read from the store."""

FIRST_BACKOFF_S = 0.05
LAST_BACKOFF_S = 10.0


class Step(Enum):
    """What to do with the tasks of an invocation that brought nothing."""

    WAIT = auto()
    """All again after a while; nobody is charged."""

    HOLD = auto()
    """All again when their function takes invocations; nobody is charged. Others go on meanwhile."""

    SINGLY = auto()
    """Each again in an invocation of its own: one of them may be to blame, none is charged."""

    RETRY = auto()
    """Again after a while, charged as an attempt."""

    ENLARGE = auto()
    """Again on a function with more memory, if there may be one."""

    REBUILD = auto()
    """Again on a function that holds the missing module, if there may be one."""

    FAIL = auto()

    UNKNOWN = auto()
    """Nothing: they may have run, and may not run twice."""


class Ran(Enum):
    """Whether a failed invocation ran its tasks."""

    NO = auto()
    """It ran none of them."""

    PERHAPS = auto()
    """It may have run some; it is over."""

    STILL = auto()
    """It may have run some, and may run still."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows from one kind of failure."""

    alone: Step
    """For a single task."""

    batch: Step = Step.SINGLY
    """For several."""

    attempts: int = 1
    """How often a single task is tried that fails in this way, where `alone` is RETRY."""

    within_s: float = 0.0
    """How long a function may refuse in this way, where `alone` is HOLD."""

    error: type[RunError] = InvokeError
    """Raised in the end."""

    remedy: str = ""
    """What the user can do about it."""

    ran: Ran = Ran.PERHAPS


READY_S = 600.0
"""How long a function may take to be ready: a network interface takes minutes, so does a snapshot."""

NETWORK_S = 300.0
"""How long its VPC may have no room for a function: others may give some back."""

KNOWN_S = 30.0
"""How long it takes until all of AWS knows a right, or a function, that is new."""

UNREACHABLE_S = 30.0
"""How long the endpoint may be out of reach: a network that changes, or a service that starts again, takes less."""

_REDEPLOY = "Deploy the program again."
RULES: dict[Kind, Rule] = {
    Kind.THROTTLED: Rule(
        Step.WAIT,
        Step.WAIT,
        error=ThrottledError,
        remedy="Lower `concurrency=`, or raise the account's quota.",
        ran=Ran.NO,
    ),
    Kind.NOT_READY: Rule(Step.HOLD, Step.HOLD, within_s=READY_S, remedy=_REDEPLOY, ran=Ran.NO),
    Kind.NO_NETWORK: Rule(
        Step.HOLD,
        Step.HOLD,
        within_s=NETWORK_S,
        remedy="Amazon EC2 gives it no network interface; try again later.",
        ran=Ran.NO,
    ),
    Kind.OUT_OF_MEMORY: Rule(
        Step.ENLARGE,
        error=OutOfMemoryError,
        remedy="Give it more with `memory_mb=`, or make its chunks smaller.",
    ),
    Kind.TIMED_OUT: Rule(
        Step.FAIL,
        error=TimedOutError,
        remedy="Give it longer with `timeout_s=` (at most 900), or make its chunks smaller.",
    ),
    Kind.ENVIRONMENT_LOST: Rule(
        Step.RETRY,
        attempts=3,
        error=EnvironmentLostError,
        remedy="The task ends its process: a crash in native code, `os._exit`, or memory beyond `memory_mb=`.",
    ),
    Kind.RESTORE_FAILED: Rule(
        Step.RETRY,
        Step.RETRY,
        attempts=3,
        error=EnvironmentLostError,
        remedy="Its snapshot does not come back to life: set SnapStart off for this operation, or deploy again.",
        ran=Ran.NO,
    ),
    Kind.NOT_MOUNTED: Rule(
        Step.RETRY,
        Step.RETRY,
        attempts=3,
        remedy="May its role, and its security group, use the file system?",
        ran=Ran.NO,
    ),
    Kind.NO_ANSWER: Rule(
        Step.RETRY,
        attempts=3,
        error=EnvironmentLostError,
        remedy="Look at the function's log; see `timeout_s=`.",
        ran=Ran.STILL,
    ),
    Kind.UNREACHABLE: Rule(
        Step.HOLD,
        Step.HOLD,
        within_s=UNREACHABLE_S,
        remedy="Is the endpoint up and reachable?",
        ran=Ran.NO,
    ),
    Kind.CUT_OFF: Rule(Step.RETRY, attempts=5, remedy="Is the network in order?", ran=Ran.STILL),
    Kind.GARBLED: Rule(Step.RETRY, attempts=3, remedy="Does a proxy stand between here and Lambda?"),
    Kind.SERVICE_FAILED: Rule(
        Step.RETRY, attempts=5, remedy="Lambda itself failed; try again later.", ran=Ran.STILL
    ),
    Kind.EXPIRED: Rule(
        Step.RETRY,
        Step.RETRY,
        attempts=2,
        remedy="They were asked for anew once. Renew them with `aws sso login`, `aws configure`, or whatever made them.",
        ran=Ran.NO,
    ),
    Kind.CLOCK_WRONG: Rule(
        Step.RETRY,
        Step.RETRY,
        attempts=2,
        remedy="Requests were dated by AWS's own clock once. Set this machine's: `sudo timedatectl set-ntp true`, or "
        "`sudo sntp -sS time.apple.com`.",
        ran=Ran.NO,
    ),
    Kind.REQUEST_TOO_LARGE: Rule(
        Step.FAIL, remedy="Lower `inline_bytes=` or `batch=`, so that less travels at once.", ran=Ran.NO
    ),
    Kind.RESPONSE_TOO_LARGE: Rule(
        Step.FAIL, remedy="Lower `inline_bytes=` or `batch=`, so that less travels at once."
    ),
    Kind.STORE_FAILED: Rule(
        Step.RETRY,
        Step.RETRY,
        attempts=STORE_ATTEMPTS,
        error=StoreError,
        remedy="Is the store up, and has it room?",
        ran=Ran.NO,
    ),
    Kind.DAMAGED: Rule(
        Step.RETRY,
        Step.RETRY,
        attempts=2,
        error=AuthenticationError,
        remedy="Nothing was un-pickled: does something between here and the function change requests?",
        ran=Ran.NO,
    ),
    Kind.MISSING_MODULE: Rule(
        Step.REBUILD,
        Step.REBUILD,
        error=MissingModuleError,
        remedy="Name its distribution in `requirements=`.",
        ran=Ran.NO,
    ),
    Kind.MISSING_FUNCTION: Rule(
        Step.HOLD,
        Step.HOLD,
        within_s=KNOWN_S,
        remedy=f"It was deleted meanwhile. {_REDEPLOY}",
        ran=Ran.NO,
    ),
    Kind.BROKEN: Rule(Step.FAIL, Step.FAIL, remedy=_REDEPLOY, ran=Ran.NO),
    Kind.RUNTIME_FAILED: Rule(
        Step.RETRY,
        attempts=2,
        remedy="This is an error of graphlambda's: please report it, with this message.",
    ),
    Kind.DENIED: Rule(
        Step.HOLD,
        Step.HOLD,
        within_s=KNOWN_S,
        remedy="The credentials need `lambda:InvokeFunction` on it: `graphlambda aws policy`.",
        ran=Ran.NO,
    ),
    Kind.REFUSED: Rule(Step.FAIL, Step.FAIL, remedy=_REDEPLOY, ran=Ran.NO),
}


UNSENT = frozenset({Kind.EXPIRED, Kind.CLOCK_WRONG})
"""Kinds of invocations of which no function heard: no task of a batch is to blame, and they may go together again."""

NOT_ACCEPTED = frozenset(kind for kind, rule in RULES.items() if rule.alone in {Step.WAIT, Step.HOLD})
"""Kinds of invocations that Lambda did not take; after others, it is not Lambda that keeps a run waiting."""

NEVER_BEGUN = NOT_ACCEPTED | {Kind.EXPIRED, Kind.CLOCK_WRONG, Kind.REQUEST_TOO_LARGE, Kind.REFUSED}
"""Kinds of invocations for which no execution environment was made: Lambda neither counts nor bills them.

Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html (Invocations)
"""


LOGGED = frozenset(
    {
        Kind.OUT_OF_MEMORY,
        Kind.TIMED_OUT,
        Kind.ENVIRONMENT_LOST,
        Kind.RESTORE_FAILED,
        Kind.NO_ANSWER,
        Kind.CUT_OFF,
        Kind.GARBLED,
        Kind.RESPONSE_TOO_LARGE,
        Kind.RUNTIME_FAILED,
    }
)
"""Kinds of which a function's log may say more than the answer did."""


def step_after(kind: Kind, *, tasks: int, attempts: int, idempotent: bool | None = None) -> Step:
    """Return what to do with `tasks` tasks, of which the most tried one failed so `attempts` times.

    The attempt that just failed is not among them yet. `idempotent` says whether they may run twice: None, one after
    the other; True, at the same time too.
    """
    rule = RULES[kind]
    step = rule.alone if tasks == 1 else rule.batch
    if step is Step.FAIL or (step is Step.RETRY and attempts + 1 >= rule.attempts):
        return Step.FAIL
    return Step.UNKNOWN if idempotent is False and rule.ran is not Ran.NO else step


def hold_s(kind: Kind, *, since_s: float, timeout_s: float, idempotent: bool | None) -> float:
    """Return how long tasks have to wait until no attempt of theirs runs any more.

    The attempt that failed was sent `since_s` ago; Lambda ends it after `timeout_s`.
    """
    return max(0.0, timeout_s - since_s) if RULES[kind].ran is Ran.STILL and not idempotent else 0.0


def step_after_error(
    kind: str, *, ours: bool, attempts: int, raised: int, retries: int, idempotent: bool | None = None
) -> Step:
    """Return what to do with a task that ended with an error of the wire's `kind`.

    The store failed it `attempts` times, and it raised `raised` times before. What another run keeps
    is not `ours`: that cannot be made again. Whether it may run twice is `idempotent`; a task of which a part ran
    before it failed may not where that is False, but for what the user asked for with `retries`.
    """
    if not ours or (kind == "missing_module" and idempotent is False):
        return Step.FAIL
    if kind == "missing_module":
        return Step.REBUILD
    if kind == "store" or kind in UNREADABLE:
        if attempts + 1 >= STORE_ATTEMPTS:
            return Step.FAIL
        return Step.UNKNOWN if kind == "store" and idempotent is False else Step.RETRY
    if kind in {"user", "missing_path"}:
        return Step.RETRY if raised < retries else Step.FAIL
    return Step.FAIL


def straggles_after_s(late_s: float, *, tasks: int) -> float:
    """Return after how long an invocation is far slower than its operation's others, nearly all of which stay below."""
    return max(STRAGGLER_S, STRAGGLER_TIMES * late_s * tasks)


def backups_at_once(in_flight: int) -> int:
    """Return how many backup invocations there may be beside so many others: few, since most stragglers come."""
    return max(1, in_flight // BACKUP_SHARE)


def passes(error: StoreError) -> bool:
    """Whether a store's failure may pass: not a value that is not there, nor a call that has taken its whole time."""
    return not isinstance(error, LostValueError) and not isinstance(error.__cause__, TimeoutError)


def lost_too_often(times: int, *, again: int, tasks: int) -> bool:
    """Whether a run has to end over a value that was lost `times` times, after `again` of its tasks ran again."""
    return times >= MOST_LOSSES or again > MOST_AGAIN * tasks


def held_too_long(kind: Kind, seconds: float) -> bool:
    """Whether a function has refused for longer than what may pass takes to pass."""
    return seconds > RULES[kind].within_s


def error_after(failed: Failed, *, what: str) -> RunError:
    """Return the error that ends a run: what, why, what to do, and the end of the function's log where it came."""
    rule = RULES[failed.kind]
    remedy = failed.remedy or rule.remedy
    error = rule.error(f"{what}: {failed.kind}: {failed.message.rstrip('.')}. {remedy}".rstrip())
    return _noted(error, failed.log)


def _noted(error: E, log: str) -> E:
    if log:
        error.add_note(f"The end of the function's log:\n{log.rstrip()}")
    return error


def unknown(*, what: str, message: str, log: str = "") -> OutcomeUnknownError:
    """Return the error that ends a run whose tasks may have run, and may not run twice."""
    error = OutcomeUnknownError(
        f"{what}: {message}. Whether it ran is not known, and with `idempotent=False` it is not run again: look for what "
        "it leaves behind, then run what is left."
    )
    return _noted(error, log)


def backoff_s(tries: int, random: Random) -> float:
    """Return how long to wait after `tries` failures in a row: twice as long each time, up to half less."""
    longest = min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(tries, 16))
    return longest * random.uniform(0.5, 1.0)
