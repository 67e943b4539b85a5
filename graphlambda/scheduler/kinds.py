"""Why an invocation brought nothing: the nouns of it.

In: nothing. Out: `Kind` and `Failed`. Must not decide which kind something is (`outcomes`), nor what follows (`policy`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Why an invocation brought no outcomes."""

    THROTTLED = "throttled"
    NOT_READY = "not ready"
    NO_NETWORK = "no network"
    OUT_OF_MEMORY = "out of memory"
    TIMED_OUT = "timed out"
    ENVIRONMENT_LOST = "environment lost"
    RESTORE_FAILED = "restore failed"
    NOT_MOUNTED = "not mounted"
    NO_ANSWER = "no answer"
    UNREACHABLE = "unreachable"
    CUT_OFF = "cut off"
    GARBLED = "garbled reply"
    SERVICE_FAILED = "service failed"
    REQUEST_TOO_LARGE = "request too large"
    RESPONSE_TOO_LARGE = "response too large"
    STORE_FAILED = "store failed"
    DAMAGED = "damaged frame"
    MISSING_MODULE = "missing module"
    MISSING_FUNCTION = "missing function"
    BROKEN = "broken function"
    RUNTIME_FAILED = "runtime failed"
    EXPIRED = "credentials expired"
    CLOCK_WRONG = "clock is wrong"
    DENIED = "access denied"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Failed:
    """An invocation without outcomes."""

    kind: Kind
    message: str
    """What the other side said, for people."""

    retry_after_s: float = 0.0
    """How long the other side asks us to wait; 0 where it did not say."""

    module: str = ""
    """The module that is missing, where that is the reason."""

    after_s: float = 0.0
    """How long after the request was sent this was known."""

    remedy: str = ""
    """What the user can do, where this answer says it better than its kind's rule."""

    request_id: str = ""
    """Lambda's number of the invocation; empty where no answer came."""

    log: str = ""
    """The end of the function's log, where it came with the answer."""
