"""What `graphlambda doctor` says: each fact becomes a line that is ok, or says what to do.

Pure. In: facts, each as it was found or why it was not. Out: lines. Must not ask anybody anything.

Source of the limits: AWS, "Lambda quotas" (code storage and what new accounts have) and "Lambda runtimes".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from graphlambda.scheduler.pace import planned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from graphlambda.deployer.functions import AccountLimits

EVERY_ACCOUNT_MB = 3_008
"""Memory that functions of every account may have; new ones no more, and no call says so."""

USUAL_CONCURRENCY = 1_000
"""What an account has that is in use; new ones have less, and are given more on request."""

MOST_SKEW_S = 300.0
"""AWS refuses what was signed so long ago, or so far ahead (AWS, "Troubleshoot Signature Version 4 signing")."""

WORRYING_SKEW_S = 60.0

NEARLY_FULL = 0.9
"""Of the account's code storage."""


class Verdict(StrEnum):
    """What a line says first."""

    OK = "ok"
    DO = "do"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Line:
    """One line."""

    subject: str
    verdict: Verdict
    told: str
    """What was found, what to do, or why it was not looked at."""

    def __str__(self) -> str:
        return f"{self.subject:<14}{self.verdict:<9}{self.told}"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something was not found."""

    what: str
    """Empty where the remedy says it."""

    remedy: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why something was not looked for."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """How a bucket keeps what lies in it."""

    place: str
    """`s3://bucket/prefix`."""

    encryption: str | None
    """`AES256` or `aws:kms`; None where the credentials may not know."""

    is_private: bool | None
    """Whether all public access is blocked; None where the credentials may not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What artifacts are built with here, and what they would run on."""

    python: str
    pythons: tuple[str, ...]
    """Minor versions for which AWS has a runtime that we build for."""

    glibc: str
    """Empty where this machine has another C library."""

    aws_glibc: str
    """Of the runtime; empty where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the settings ask of an account."""

    region: str
    memory_mb: int
    concurrency: int
    """0: all."""

    reserve: int


T = TypeVar("T")
Found: TypeAlias = T | Fault | Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a doctor looks at."""

    place: str
    """Where functions are, in words."""

    wishes: Wishes
    identity: Found[str]
    """ARN of who the credentials are."""

    stack: Found[str]
    """The stack's name."""

    limits: Found[AccountLimits]
    skew_s: Found[float]
    """How far this machine's clock is ahead of the service's."""

    role: Found[str]
    """ARN of the functions' role."""

    bucket: Found[Bucket]
    cache: Found[str]
    """Where it is; this client reached it."""

    probes: Mapping[str, Found[float]]
    """By the place of values, how many seconds a function of ours took to write and read one there."""

    machine: Machine


def lines_of(facts: Facts) -> list[Line]:
    """Return what there is to say, in the order in which things stand on each other."""
    wishes = facts.wishes
    return [
        Line("functions", Verdict.OK, facts.place),
        _line("credentials", facts.identity, _ok),
        Line("region", Verdict.OK, wishes.region),
        _line("clock", facts.skew_s, _clock),
        _line("stack", facts.stack, _ok),
        _line("concurrency", facts.limits, partial(_concurrency, wishes, facts.identity)),
        _line("code storage", facts.limits, _storage),
        _memory(wishes, facts.probes),
        _line("role", facts.role, _ok),
        _line("bucket", facts.bucket, _bucket),
        _line("cache", facts.cache, _ok),
        *(_line("a function", found, partial(_probe, place)) for place, found in facts.probes.items()),
        *_machine(facts.machine),
    ]


def is_well(lines: list[Line]) -> bool:
    """Whether nothing is to be done."""
    return all(line.verdict is not Verdict.DO for line in lines)


def _line(subject: str, found: Found[T], say: Callable[[T], tuple[Verdict, str]]) -> Line:
    match found:
        case Skipped(reason):
            return Line(subject, Verdict.SKIPPED, reason)
        case Fault(what, remedy):
            return Line(subject, Verdict.DO, f"{remedy} ({what})" if what else remedy)
        case _:
            return Line(subject, *say(found))


def _ok(told: str) -> tuple[Verdict, str]:
    return Verdict.OK, told


def _clock(skew_s: float) -> tuple[Verdict, str]:
    way = "ahead of" if skew_s > 0 else "behind"
    told = f"{abs(skew_s):.0f} s {way} AWS's"
    if abs(skew_s) < WORRYING_SKEW_S:
        return Verdict.OK, told
    return (
        Verdict.DO,
        f"set this machine's clock (`timedatectl set-ntp true`): {told}, and {MOST_SKEW_S:.0f} s are refused",
    )


def _concurrency(wishes: Wishes, identity: Found[str], limits: AccountLimits) -> tuple[Verdict, str]:
    plan = planned(limits.unreserved, wanted=wishes.concurrency, reserve=wishes.reserve)
    told = (
        f"{limits.concurrency:,}, of which {limits.unreserved:,} are not reserved; runs use {max(0, plan):,}"
    )
    if plan < 1:
        return Verdict.DO, f"lower reserve={wishes.reserve}, or ask for more (Service Quotas, Lambda): {told}"
    if limits.concurrency < USUAL_CONCURRENCY and isinstance(identity, str):
        told += f". {USUAL_CONCURRENCY:,} are usual: ask for more (Service Quotas, Lambda, `Concurrent executions`)"
    return Verdict.OK, told


def _storage(limits: AccountLimits) -> tuple[Verdict, str]:
    told = f"{limits.code_bytes / 1e9:,.1f} of {limits.most_code_bytes / 1e9:,.0f} GB"
    if limits.code_bytes > NEARLY_FULL * limits.most_code_bytes:
        return (
            Verdict.DO,
            f"`graphlambda aws sweep` deletes what nobody uses: {told}, and more is not to be had",
        )
    return Verdict.OK, told


def _memory(wishes: Wishes, probes: Mapping[str, Found[float]]) -> Line:
    told = f"memory_mb={wishes.memory_mb}"
    if any(isinstance(found, float) for found in probes.values()):
        return Line("memory", Verdict.OK, f"{told}: the function below has it")
    if wishes.memory_mb <= EVERY_ACCOUNT_MB:
        return Line("memory", Verdict.OK, f"{told}, which every account has")
    more = (
        f"{told}: no call tells whether this account may, only making a function does. New accounts stop at "
        f"{EVERY_ACCOUNT_MB:,}: “'MemorySize' value failed to satisfy constraint” means lower memory_mb=, or ask AWS Support"
    )
    return Line("memory", Verdict.SKIPPED, more)


def _bucket(bucket: Bucket) -> tuple[Verdict, str]:
    if bucket.is_private is False:
        return (
            Verdict.DO,
            f"block all public access of {bucket.place}: `graphlambda aws init` does for its own",
        )
    if bucket.encryption == "":
        return (
            Verdict.DO,
            f"set default encryption for {bucket.place}: `graphlambda aws init` does for its own",
        )
    unknown = "which these credentials may not see"
    encryption = f"encrypted ({bucket.encryption})" if bucket.encryption else f"encryption: {unknown}"
    access = "no public access" if bucket.is_private else f"public access: {unknown}"
    return Verdict.OK, f"{bucket.place}, this account's, {encryption}, {access}"


def _probe(place: str, seconds: float) -> tuple[Verdict, str]:
    return (
        Verdict.OK,
        f"wrote and read in {place}; it took {seconds:.1f} s, making it and cold starts included",
    )


def _machine(machine: Machine) -> Iterator[Line]:
    if machine.python not in machine.pythons:
        known = ", ".join(machine.pythons)
        yield Line(
            "python", Verdict.DO, f"use one of {known}: Lambda runs no {machine.python} that we build for"
        )
        return
    yield Line("python", Verdict.OK, f"{machine.python}, as functions have")
    if not machine.glibc:
        yield Line(
            "glibc", Verdict.OK, f"not this machine's C library; wheels are fetched for {machine.aws_glibc}"
        )
    else:
        yield Line(
            "glibc",
            Verdict.OK,
            f"{machine.glibc} here, {machine.aws_glibc} there: what would not load there is fetched as a wheel, or refused",
        )
