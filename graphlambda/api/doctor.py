"""Looks at all that runs stand on: credentials, quotas, role, bucket, cache, clock, this machine; at last with a function of ours.

In: a configuration. Out: lines, by `account.doctor`. Must not stop at the first trouble, nor leave more than one function.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from graphlambda.account.doctor import Bucket, Facts, Fault, Line, Machine, Skipped, Wishes, lines_of
from graphlambda.account.remedies import DENIED, remedy
from graphlambda.account.stack import VALKEY_PUBLIC
from graphlambda.api import building, work
from graphlambda.api.account import settled, stack_of
from graphlambda.api.caches import keys_at
from graphlambda.api.given import given_to
from graphlambda.api.session import session_of
from graphlambda.api.stores import opened
from graphlambda.compiler import called_operations, compile_graph
from graphlambda.config import AWS, FILE, VALKEY, tiers
from graphlambda.errors import CacheWarning, CloudError, ConfigError, GraphlambdaError
from graphlambda.packager import machines
from graphlambda.store.valkey import ValkeyStore, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphlambda.account import Stack
    from graphlambda.account.aws import Account
    from graphlambda.account.doctor import Found
    from graphlambda.api.session import Session
    from graphlambda.config import Config

T = TypeVar("T")

_GRAPH = {"one": (abs, -1), "two": (abs, "one")}
"""One operation; with a batch of one task and nothing inline, a function writes a value and another invocation reads it."""


def diagnose(config: Config) -> list[Line]:
    """Return what there is to say of all that a configuration's runs stand on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheWarning)  # it has a line
        return lines_of(_at_aws(config) if config.endpoint == AWS else _at_url(config))


def _at_url(config: Config) -> Facts:
    place = f"at {config.endpoint}" if config.endpoint else "in the local Lambda, on this machine"
    facts = _nothing(config, place, Skipped("functions are not on AWS"))
    session = _found(lambda: session_of(config))
    if isinstance(session, Fault):
        return replace(facts, limits=session)
    return replace(facts, limits=_found(session.cloud.limits), probes=_probes(session))


def _at_aws(config: Config) -> Facts:
    from graphlambda.account.aws import account  # noqa: PLC0415  (boto3, for who runs on AWS)
    from graphlambda.deployer.aws import aws_cloud  # noqa: PLC0415

    facts = _nothing(config, f"on AWS, deployment {config.deployment_id}", Skipped("see above"))
    ours = _found(lambda: account(config.region))
    if isinstance(ours, Fault):
        return replace(facts, identity=ours)
    identity, skew_s = _identity(ours)
    facts = replace(facts, identity=identity, skew_s=skew_s)
    if isinstance(identity, Fault):
        return facts
    facts = replace(facts, limits=_found(lambda: aws_cloud(config.region).limits()))
    stack = _found(lambda: stack_of(config))
    if isinstance(stack, Fault):
        return replace(facts, stack=stack)
    ready = _found(lambda: settled(config))
    if isinstance(ready, Fault):
        return replace(facts, stack=ready)
    facts = replace(
        facts,
        stack=stack.names.stack if stack else Skipped("none is seen; role= and store= are given"),
        role=_role(ours, ready.role),
        bucket=_bucket(ours, ready),
        cache=_cache(stack, ready),
    )
    session = _found(lambda: session_of(ready))
    return replace(facts, probes={"": session} if isinstance(session, Fault) else _probes(session))


def _nothing(config: Config, place: str, reason: Skipped) -> Facts:
    """Return facts of which only the settings and this machine are known."""
    return Facts(
        place=place,
        wishes=Wishes(
            region=config.region,
            memory_mb=config.memory_mb,
            concurrency=config.concurrency,
            reserve=config.reserve,
        ),
        identity=reason,
        stack=reason,
        limits=reason,
        skew_s=reason,
        role=reason,
        bucket=reason,
        cache=reason,
        probes={"": reason},
        machine=_this_machine(),
    )


def _found(look: Callable[[], T]) -> T | Fault:
    try:
        return look()
    except CloudError as error:
        return Fault(str(error), remedy(error))
    except GraphlambdaError as error:
        return Fault("", str(error))


def _identity(ours: Account) -> tuple[Found[str], Found[float]]:
    """Return who we are, and how far this machine's clock is ahead; an error's answer tells the time, too."""
    answer: Mapping[str, Any] = {}
    try:
        answer = ours.ask("sts", "get_caller_identity")
        identity: Found[str] = str(answer["Arn"])
    except ConfigError as error:
        identity = Fault("", str(error))
    except CloudError as error:
        identity = Fault(str(error), remedy(error))
        answer = getattr(error.__cause__, "response", {})
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not date:
        return identity, Skipped("nobody told the time")
    return identity, time.time() - parsedate_to_datetime(date).timestamp()


def _role(ours: Account, arn: str) -> Found[str]:
    try:
        ours.ask("iam", "get_role", RoleName=arn.rpartition("/")[2])
    except CloudError as error:
        if error.code in DENIED:
            return Skipped(f"{arn}: these credentials need not see it; that Lambda can use it shows below")
        return Fault(str(error), remedy(error))
    return arn


def _bucket(ours: Account, config: Config) -> Found[Bucket]:
    _, url = tiers(config.store)
    if not url:
        return Skipped(f"values lie in {_address(config.store)}")
    parts = urlsplit(url)
    place = {"Bucket": parts.netloc, "ExpectedBucketOwner": config.role.split(":")[4]}
    prefix = f"{parts.path.strip('/')}/"  # deployers may list below it, and nothing of the bucket else
    try:
        ours.ask("s3", "list_objects_v2", **place, Prefix=prefix, MaxKeys=1)
        return Bucket(place=url, encryption=_encryption(ours, place), is_private=_is_private(ours, place))
    except CloudError as error:
        return Fault(str(error), remedy(error))


def _encryption(ours: Account, place: Mapping[str, str]) -> str | None:
    answer = _seen(
        ours, "get_bucket_encryption", place, absent="ServerSideEncryptionConfigurationNotFoundError"
    )
    if not answer:
        return None if answer is None else ""
    (rule, *_) = answer["ServerSideEncryptionConfiguration"]["Rules"]
    return str(rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"])


def _is_private(ours: Account, place: Mapping[str, str]) -> bool | None:
    answer = _seen(ours, "get_public_access_block", place, absent="NoSuchPublicAccessBlockConfiguration")
    if not answer:
        return None if answer is None else False
    return all(answer["PublicAccessBlockConfiguration"].values())


def _seen(ours: Account, method: str, place: Mapping[str, str], *, absent: str) -> Mapping[str, Any] | None:
    """Return what S3 says; nothing where nothing is set, None where the credentials may not know."""
    try:
        return ours.ask("s3", method, **place)
    except CloudError as error:
        if error.code in DENIED:
            return None
        if error.code == absent:
            return {}
        raise


def _cache(stack: Stack | None, config: Config) -> Found[str]:
    hot, _ = tiers(config.store)
    if hot:
        return _found(lambda: f"{_address(hot)} takes this client")
    if stack is None or stack.cache is None:
        return Skipped("this deployment has none")
    if stack.cache.kind != VALKEY_PUBLIC:
        return Skipped(f"{stack.cache.host} is reached from its VPC alone: values go to the bucket")
    return Fault(
        f"{stack.cache.host}:{stack.cache.port} does not take this client, and values go to the bucket alone",
        "let this network reach it (TCP, TLS), and these credentials `elasticache:Connect`",
    )


def _address(url: str) -> str:
    keys = keys_at(url)
    return ValkeyStore(spec_of(url, keys), keys=keys).address


def _probes(session: Session) -> dict[str, Found[float]]:
    """Have a function of ours write and read wherever values lie."""
    hot, bucket = tiers(session.config.store)
    return {
        (where if where in {FILE, VALKEY, bucket} else _address(where)): _found(
            partial(_through, session, where)
        )
        for where in (hot, bucket)
        if where
    }


def _through(session: Session, where: str) -> float:
    """Return how long it takes a function to be made, and to write and read a value in one of a session's stores."""
    began_s = time.monotonic()
    found = opened(replace(session.config, store=where)) if tiers(session.config.store)[1] else session.opened
    config = replace(session.config, inline_bytes=0, batch=1, progress=False, content_cache=False)
    probing = replace(session, config=config, opened=found)
    program = compile_graph(_GRAPH, ["two"])
    with work.display_of(probing) as display:
        given = given_to(program, config)
        deployment = building.functions_of(called_operations(program), probing, given, display.built)
        work.ran(program, deployment, probing, display)
    return time.monotonic() - began_s


def _this_machine() -> Machine:
    python = machines.this_python()
    return Machine(
        python=python,
        pythons=machines.PYTHONS,
        glibc=machines.this_glibc(),
        aws_glibc=machines.managed_glibc(python) if python in machines.PYTHONS else "",
    )
