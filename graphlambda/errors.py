"""The one error tree. Foreign errors are translated into it once, at the boundary, with `from`.

GraphlambdaError
├── ConfigError                    a setting is wrong
├── CompileError
│   ├── RefusedError               what could not be right on Lambda; says the remedy
│   │   └── MissingKeyError        the graph lacks a key; a KeyError, too, as in Dask
│   ├── UnshippableError           an object that cannot travel to a function
│   └── ProgramFileError           a saved program is damaged or not ours
├── PackageError
│   ├── MissingDistributionError   an operation needs what is not installed
│   ├── TargetError                a distribution cannot load on the target
│   ├── ProofError                 an artifact does not import in isolation
│   └── ArtifactTooLargeError      more than one function may hold
├── DeployError
│   ├── CloudError                 the control plane said no
│   ├── DeployTimeoutError         a function did not become active in time
│   └── StackError                 what a deployment stands on in the account is absent, damaged or not ours
├── LocalLambdaError               the local Lambda did not start or has died
└── RunError
    ├── TaskError                  a task failed; its own exception could not come home as itself
    ├── UnpackError                a function's distributions could not be unpacked to its /tmp
    ├── SecretError                a function could not read a secret that it was to have
    ├── MissingModuleError         a function lacks a module that its task imported
    ├── OutOfMemoryError           a function ran out of memory, repeatedly
    ├── TimedOutError              a task ran longer than its function may
    ├── EnvironmentLostError       an execution environment died, repeatedly
    ├── OutcomeUnknownError        whether a task ran is not known, and it may not run again
    ├── ThrottledError             concurrency never became free
    ├── InvokeError                Invoke failed in a way that repeating cannot mend
    ├── StoreError                 the store is unavailable
    │   └── LostValueError         the store does not hold a value, or no longer
    ├── AuthenticationError        a frame is not what it claims to be
    ├── ResultTooLargeError        the result would not fit into the client's memory
    ├── RunCancelledError          the run was stopped
    ├── DeadlineError              the run took longer than `deadline_s`
    ├── BudgetError                the run's next invocation might cost more than is left of `budget_usd`
    ├── RunHeldError               another client goes on with the run
    ├── RunLostError               another client has taken the run from this one
    └── NoSuchRunError             there is nothing of that run to go on with
"""

from __future__ import annotations

from datetime import datetime
from functools import partial


class GraphlambdaError(Exception):
    """Anything that graphlambda itself reports. A user's own exception comes back as itself."""


class ConfigError(GraphlambdaError):
    """A setting is wrong; the message lists all that are."""


class CompileError(GraphlambdaError):
    """A graph cannot become a program."""


class RefusedError(CompileError):
    """The graph asks for what could not be right on Lambda. Raised before anything runs."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}"


class MissingKeyError(RefusedError, KeyError):
    """A key is wanted, or a task needs it, that the graph does not hold."""


class UnshippableError(CompileError):
    """An object cannot travel to a function: it does not pickle."""


class ProgramFileError(CompileError):
    """A saved program is damaged, or was not saved by this deployment's owner."""


class PackageError(GraphlambdaError):
    """An artifact cannot be built."""


class MissingDistributionError(PackageError):
    """An operation needs a module that no installed distribution provides."""


class TargetError(PackageError):
    """A distribution cannot load on the target."""


class TargetWarning(UserWarning):
    """What was built loads on this machine, but would not on AWS."""


class OperationsWarning(UserWarning):
    """A pattern of `operations=` matches nothing: what it says has no effect."""


class RandomWarning(UserWarning):
    """Several tasks get copies of one generator of random numbers, and draw the same ones."""


class ProfileWarning(UserWarning):
    """What earlier runs measured cannot be read."""


class ProofError(PackageError):
    """An artifact does not import in an interpreter that sees nothing else."""


class ArtifactTooLargeError(PackageError):
    """The unzipped artifact and its layers exceed what one function may hold."""


class DeployError(GraphlambdaError):
    """The account cannot be made to hold what the program needs."""


class CloudError(DeployError):
    """The control plane refused a call."""

    def __init__(self, call: str, code: str, message: str) -> None:
        super().__init__(call, code, message)
        self.call = call
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.call} failed with {self.code}: {self.message}"


class DeployTimeoutError(DeployError):
    """A function did not become active in the time that we wait."""


class StackError(DeployError):
    """What a deployment stands on in the account is absent, not ready, or not proved to be ours."""


class LocalLambdaError(GraphlambdaError):
    """The local Lambda did not start, or has died."""


class RunError(GraphlambdaError):
    """A run did not end with all its values."""


class TaskError(RunError):
    """A task failed and its own exception could not come home as itself."""


class UnpackError(RunError):
    """A function's distributions could not be unpacked to its /tmp."""


class SecretError(RunError):
    """A function could not read a secret that it was to have; none of its tasks ran."""


class MissingModuleError(RunError):
    """A task imported a module that its function does not hold."""


class OutOfMemoryError(RunError):
    """A function ran out of memory as often as we try."""


class TimedOutError(RunError):
    """A task ran longer than its function may."""


class EnvironmentLostError(RunError):
    """An execution environment died under a task as often as we try."""


class OutcomeUnknownError(RunError):
    """An invocation brought nothing; whether its tasks ran is not known, and they may not run twice."""


class ThrottledError(RunError):
    """No concurrency became free in the time that we wait."""


class InvokeError(RunError):
    """Invoke failed in a way that repeating cannot mend."""


class StoreError(RunError):
    """The store is unavailable."""


class LostValueError(StoreError):
    """The store does not hold a value, or no longer: it was evicted, dropped, or lost with its server."""

    def __init__(self, message: str, run: str, name: str) -> None:
        super().__init__(message, run, name)
        self.run = run
        self.name = name

    def __str__(self) -> str:
        return str(self.args[0])


class AuthenticationError(RunError):
    """A frame is damaged, or belongs to another run, task or key."""


class ResultTooLargeError(RunError):
    """The result would not fit into the client's memory; nothing was downloaded."""


class RunCancelledError(RunError):
    """The run was stopped before its end."""


class DeadlineError(RunError):
    """The run took longer than its `deadline_s` and was stopped."""


class BudgetError(RunError):
    """What the run would do next might cost more than is left of its `budget_usd`; nothing is in flight any more."""

    def __init__(self, run: str, *, spent_usd: float, budget_usd: float, next_usd: float) -> None:
        super().__init__(run, spent_usd, budget_usd, next_usd)
        self.run = run
        self.spent_usd = spent_usd
        """By all clients of the run; of invocations that were lost, what they may have cost at most."""

        self.budget_usd = budget_usd
        self.next_usd = next_usd
        """What one more invocation may cost at most."""

    def __reduce__(self) -> tuple[partial[BudgetError], tuple[str]]:
        named = partial(
            BudgetError, spent_usd=self.spent_usd, budget_usd=self.budget_usd, next_usd=self.next_usd
        )
        return named, (self.run,)

    @property
    def left_usd(self) -> float:
        """What is left of the budget."""
        return self.budget_usd - self.spent_usd

    def __str__(self) -> str:
        remedy = (
            "Give it a larger budget_usd=; where it is resumed, what it has spent already counts"
            if self.spent_usd
            else "Give it a larger budget_usd=, or less timeout_s= or memory_mb="
        )
        return (
            f"run {self.run} has spent {self.spent_usd:.6f} of budget_usd={self.budget_usd:g}; {self.left_usd:.6f} USD are "
            f"left, and its next invocation may cost {self.next_usd:.6f} (memory_mb= for all of timeout_s= and a cold "
            f"start, and what it asks of the store). {remedy}"
        )


class RunHeldError(RunError):
    """Another client goes on with the run: of two that resume it, one does."""

    def __init__(self, run: str, holder: str, until_s: float) -> None:
        super().__init__(run, holder, until_s)
        self.run = run
        self.holder = holder
        self.until_s = until_s
        """Seconds since the epoch."""

    def __str__(self) -> str:
        until = datetime.fromtimestamp(self.until_s).astimezone().isoformat(" ", "seconds")
        return f"run {self.run} is held by {self.holder} until {until}, and longer while that client lives"


class RunLostError(RunError):
    """Another client has taken the run, whose lease this one had not renewed; this one has stopped."""


class NoSuchRunError(RunError):
    """There is nothing of that run to go on with."""

    def __init__(self, run: str) -> None:
        super().__init__(run)
        self.run = run

    def __str__(self) -> str:
        return (
            f"there is nothing of run {self.run} to go on with: it has ended, had not begun, or lies elsewhere "
            "(`state_dir=`, `store=`)"
        )


class ResultWarning(UserWarning):
    """What a run is asked for is, by its own account, more than the client's memory takes."""


class BudgetWarning(UserWarning):
    """A run's `budget_usd` lets fewer invocations run at once than might."""


class ResumeWarning(UserWarning):
    """A run goes on, but could not be resumed if its client died now."""


class CacheWarning(UserWarning):
    """A deployment's cache is out of reach; values go another way."""


class LeftoverWarning(UserWarning):
    """Values of a run that has ended are still in the store, and nobody could delete them."""
