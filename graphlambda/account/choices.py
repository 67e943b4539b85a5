"""What an administrator chooses for a deployment, checked.

Pure. In: words, as flags or an earlier stack's template have them. Out: `Choices`, or one `ConfigError` that lists every
mistake. Must not look anything up: `account.aws` finds a VPC's parts.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from graphlambda.account.stack import NONE, VALKEY_PUBLIC, VALKEY_VPC
from graphlambda.deployer.names import TAG
from graphlambda.errors import ConfigError
from graphlambda.parsers import ARN_TO_READ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from graphlambda.deployer.names import Names

NOTHING = "none"
"""In place of a list: takes back what it held."""

CACHES = (NONE, VALKEY_PUBLIC, VALKEY_VPC)
_KEY = r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[\w-]+"
_FORMS: Mapping[str, tuple[str, str, str]] = {
    "role_arn": ("--role-arn", r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", "the ARN of a role"),
    "permissions_boundary": (
        "--permissions-boundary",
        r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+",
        "the ARN of a policy",
    ),
    "kms_key_arn": ("--kms-key", _KEY, "the ARN of a key: policies name no alias"),
    "bucket": ("--bucket", r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of a bucket"),
}
_SECRET = (
    f"{ARN_TO_READ}|{_KEY}",
    "the ARN of a secret of Secrets Manager, of a parameter of SSM, or of the key that encrypts some",
)
_GRANT = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>[^*?$\x00-\x1f]*?))?(?P<write>:rw)?"
)
_TAG_KEY = re.compile(r"(?!aws:)[\w .:/=+@-]{1,128}")
_TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What functions may do with data of the user's own."""

    bucket: str
    prefix: str
    """An object, or what keys begin with before a slash; empty: the whole bucket."""

    write: bool = False

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}" + (":rw" if self.write else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vpc:
    """Where functions and a cache that only they reach are put."""

    id: str
    subnets: tuple[str, ...]
    """At most three, each in an availability zone of its own."""

    security_groups: tuple[str, ...] = ()
    """Of functions and cache, which must let one reach the other; none: two are made."""

    route_tables: tuple[str, ...] = ()
    """Of these subnets, those without a way to S3: they get a gateway endpoint, which costs nothing."""

    s3_prefixes: str = ""
    """Id of AWS's prefix list of S3 in the region: beside the cache, all that functions reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """How a deployment's stack is to be. The defaults cost nothing while nothing runs."""

    cache: str = NONE
    """One of `CACHES`."""

    role_arn: str = ""
    """Of a role that is there; then the stack makes nothing in IAM."""

    permissions_boundary: str = ""
    """ARN of the policy that bounds the role that is made."""

    kms_key_arn: str = ""
    """Of the key that encrypts the bucket and the cache; empty: AWS's own."""

    bucket: str = ""
    """Name of a bucket that is there; empty: one is made."""

    tags: Mapping[str, str] = field(default_factory=dict)
    """On all that is made, beside ours."""

    data: tuple[Grant, ...] = ()
    secrets: tuple[str, ...] = ()
    """ARNs of what functions may read of Secrets Manager and of SSM's parameters, and of the user's own keys that encrypt those."""

    vpc: Vpc | None = None
    """Where functions are; None: outside any VPC."""

    allow_vpc: bool = False
    """Whether single operations may be put into a VPC, though functions as a whole are not."""

    def told(self) -> dict[str, Any]:
        """Return what a template says of them, for `choices_of` to read; what was left at its default is left out."""
        return {name: value for name, value in asdict(self).items() if value}


def choices_of(told: Mapping[str, Any]) -> Choices:
    """Return the choices that `Choices.told` said; what another version said beside is passed over."""
    known = {each.name: told[each.name] for each in fields(Choices) if each.name in told}
    grants = tuple(Grant(**grant) for grant in known.pop("data", ()))
    vpc = known.pop("vpc", None)
    secrets = tuple(known.pop("secrets", ()))
    placed = None if vpc is None else Vpc(**{name: _frozen(value) for name, value in vpc.items()})
    return Choices(**known, data=grants, secrets=secrets, vpc=placed)


def changed(before: Choices, flags: Mapping[str, Any], names: Names) -> Choices:
    """Return choices in which what the flags give replaces what was.

    None is not given; an empty text, or `none` in a list, takes back what was.

    Raises:
        ConfigError: some are wrong; the message lists all of them.
    """
    given = {name: _listed(value) for name, value in flags.items() if value is not None}
    mistakes = [*_mistakes(given)]
    if not mistakes:
        after = replace(before, **_read(given))
        after = after if after.cache == VALKEY_VPC else replace(after, vpc=None)
        mistakes = [f"--data {each} is where this deployment's own data lies" for each in _ours(after, names)]
        if NONE not in {before.cache, after.cache} and _fixed(before) != _fixed(after):
            mistakes.append(
                "--cache: a cache keeps its kind, key and subnets for life: choose none first, then anew"
            )
    if mistakes:
        raise ConfigError("\n".join(sorted(mistakes)))
    return after


def _fixed(choices: Choices) -> tuple[Any, ...]:
    """Return what of a cache cannot be changed (AWS: AWS::ElastiCache::ServerlessCache, replacement)."""
    return choices.cache, choices.kms_key_arn, choices.vpc and choices.vpc.subnets


def _listed(value: Any) -> Any:
    return [] if value == [NOTHING] else value


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    readers: Mapping[str, Callable[[Any], Any]] = {
        "data": lambda texts: tuple(map(grant, texts)),
        "secrets": tuple,
        "tags": lambda texts: dict(text.split("=", 1) for text in texts),
    }
    return {name: readers[name](value) if name in readers else value for name, value in given.items()}


def _ours(choices: Choices, names: Names) -> list[Grant]:
    """Return the grants that would give functions more of our own prefix than its values."""
    bucket = choices.bucket or names.bucket
    ours = f"{names.prefix}/"
    return [
        each
        for each in choices.data
        if each.bucket == bucket
        and (f"{each.prefix}/".startswith(ours) or ours.startswith(_folder(each.prefix)))
    ]


def _folder(prefix: str) -> str:
    return f"{prefix}/" if prefix else ""


def grant(text: str) -> Grant:
    """Return what `s3://bucket/prefix` or `s3://bucket/prefix:rw` grants.

    Raises:
        ConfigError: it is neither.
    """
    match = _GRANT.fullmatch(text)
    if match is None:
        raise ConfigError(
            f"--data must be s3://bucket/prefix, to read, or s3://bucket/prefix:rw, not {text!r}"
        )
    prefix = (match["prefix"] or "").rstrip("/")
    return Grant(bucket=match["bucket"], prefix=prefix, write=match["write"] is not None)


def _mistakes(given: Mapping[str, Any]) -> Iterator[str]:
    if given.get("cache", NONE) not in CACHES:
        yield f"--cache must be one of {', '.join(CACHES)}, not {given['cache']!r}"
    for name, (flag, pattern, wanted) in _FORMS.items():
        if given.get(name) and not re.fullmatch(pattern, given[name]):
            yield f"{flag} must be {wanted}, not {given[name]!r}"
    yield from (
        f"--secret must be {_SECRET[1]}, not {arn!r}" for arn in _unlike(_SECRET[0], given.get("secrets", ()))
    )
    yield from (
        f"--data must be s3://bucket/prefix, to read, or s3://bucket/prefix:rw, not {text!r}"
        for text in given.get("data", ())
        if not _GRANT.fullmatch(text)
    )
    yield from filter(None, map(_tag_mistake, given.get("tags", ())))


def _tag_mistake(tag: str) -> str:
    key, is_whole, value = tag.partition("=")
    if not is_whole or not _TAG_KEY.fullmatch(key) or not _TAG_VALUE.fullmatch(value):
        return f"--tag must be key=value, of letters, digits and `_ .:/=+@-`, not {tag!r}"
    return f"--tag {TAG} is ours" if key == TAG else ""


def _unlike(pattern: str, texts: Sequence[str]) -> list[str]:
    return [text for text in texts if not re.fullmatch(pattern, text)]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
