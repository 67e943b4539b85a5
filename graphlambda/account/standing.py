"""What stands in an account for one deployment: told by listing, never by memory.

In: names, an account. Out: a `Standing`. Changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from graphlambda.account.remedies import DENIED
from graphlambda.account.stack import ABSENT, NONE, READY, Stack, read
from graphlambda.account.stacks import chosen
from graphlambda.deployer.names import KEYS, RUNS, owned
from graphlambda.errors import CloudError
from graphlambda.prices import Size
from graphlambda.store.claims import CLAIM_S, LEASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from graphlambda.account.aws import Account
    from graphlambda.deployer.names import Names

_NONE_WAIT = frozenset({"ProvisionedConcurrencyConfigNotFoundException", "404"})
"""Lambda's word for a version that nothing is provisioned for, and what a server says that knows of no such thing."""

_LATEST = "$LATEST"
_MISSING = frozenset({"NoSuchBucket", "404", "NoSuchKey"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource of the stack."""

    type: str
    """CloudFormation's: `AWS::S3::Bucket`."""

    name: str
    """In the account."""

    state: str
    """CloudFormation's: `CREATE_COMPLETE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much lies somewhere."""

    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A published version of a function that AWS keeps ready, and bills while it waits."""

    function: str
    size: Size
    environments: int
    """Provisioned concurrency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All that is there for a deployment; of one that was never made, or is gone, nothing is."""

    names: Names
    state: str
    """The stack's, in CloudFormation's words; `ABSENT` where there is none."""

    stack: Stack | None
    """None where the stack is absent or not ready."""

    is_ours: bool
    """Whether the stack's template says that it is of this deployment."""

    resources: tuple[Resource, ...]
    """Of the stack."""

    functions: tuple[str, ...]
    ready: tuple[Ready, ...]
    layers: Mapping[str, tuple[int, ...]]
    """Versions, by the layer's name."""

    bucket: str
    """Where the deployment's objects are; empty where there is no such bucket."""

    parts: Mapping[str, Amount]
    """Objects, by what follows the prefix: `artifacts`, `keys`, `values` …"""

    uploads: int
    """Uploads in parts that nobody ended."""

    log_bytes: int | None
    """In the log group; None where there is none, or who asks may not see it."""

    living: tuple[str, ...]
    """Runs that a client goes on with."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return self.state == ABSENT and not any(
            (self.functions, self.layers, self.bucket, self.uploads, self.log_bytes is not None)
        )

    @property
    def has_root_key(self) -> bool:
        """Whether there is a root key: without it nothing shows who made a function."""
        return KEYS in self.parts

    def of_the_bucket(self) -> Stack:
        """Return what the stack says; where it is absent or not ready, what it would say of the bucket that is there."""
        names = self.names
        return self.stack or Stack(
            names=names,
            bucket=self.bucket,
            prefix=names.prefix,
            role_arn=names.role_arn,
            log_group=names.log_group,
        )

    @property
    def cache(self) -> str:
        """The kind of cache; `none` where there is none."""
        return self.stack.cache.kind if self.stack and self.stack.cache else NONE


def survey(account: Account, names: Names) -> Standing:
    """Return what stands for a deployment.

    Raises:
        CloudError: AWS refuses to say.
        StackError: the stack is there, and is not a deployment's.
    """
    answer = account.described(names.stack)
    state = str(answer["Stacks"][0]["StackStatus"]) if answer else ABSENT
    stack = read(answer) if answer and state in READY else None
    choices = chosen(account, names) if answer else None
    bucket = _bucket(account, names, stack.bucket if stack else choices.bucket if choices else "")
    found = [*_objects(account, names, bucket)] if bucket else []
    versions = [*_versions(account, names)]
    return Standing(
        names=names,
        state=state,
        stack=stack,
        is_ours=choices is not None,
        resources=tuple(_resources(account, names)) if answer else (),
        functions=tuple(sorted({each["FunctionName"] for each in versions})),
        ready=tuple(_ready(account, each) for each in versions if each["Version"] != _LATEST),
        layers=dict(_layers(account, names)),
        bucket=bucket,
        parts=_parts(names, found),
        uploads=len([*uploads(account, names, bucket)]) if bucket else 0,
        log_bytes=_log_bytes(account, names),
        living=_living(account, names, bucket, found) if found else (),
    )


def uploads(account: Account, names: Names, bucket: str) -> Iterator[Mapping[str, Any]]:
    """Yield the uploads in parts below the deployment's prefix that nobody has ended; raises `CloudError`."""
    below = {"Bucket": bucket, "Prefix": f"{names.prefix}/", "ExpectedBucketOwner": names.account}
    return account.pages("s3", "list_multipart_uploads", "Uploads", **below)


def _bucket(account: Account, names: Names, named: str) -> str:
    """Return the bucket that the stack names, or the one that a stack would have made, if it is there."""
    try:
        _first(account, names, named or names.bucket)
    except CloudError as error:
        if error.code in _MISSING or (error.code in DENIED and not named):  # of somebody else
            return ""
        raise
    return named or names.bucket


def _first(account: Account, names: Names, bucket: str) -> Mapping[str, Any]:
    """Look whether there is a bucket, as whoever may list nothing but our prefix may."""
    below = {"Bucket": bucket, "Prefix": f"{names.prefix}/", "ExpectedBucketOwner": names.account}
    return account.ask("s3", "list_objects_v2", **below, MaxKeys=1)


def _objects(account: Account, names: Names, bucket: str) -> Iterator[Mapping[str, Any]]:
    below = {"Bucket": bucket, "Prefix": f"{names.prefix}/", "ExpectedBucketOwner": names.account}
    return account.pages("s3", "list_objects_v2", "Contents", **below)


def _parts(names: Names, found: Iterable[Mapping[str, Any]]) -> dict[str, Amount]:
    parts: dict[str, Amount] = {}
    for each in found:
        name = each["Key"].removeprefix(f"{names.prefix}/").partition("/")[0]
        before = parts.get(name, Amount(objects=0, size_bytes=0))
        parts[name] = Amount(objects=before.objects + 1, size_bytes=before.size_bytes + each["Size"])
    return dict(sorted(parts.items()))


def _living(
    account: Account, names: Names, bucket: str, found: Iterable[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Return the runs whose lease was renewed a moment ago, by S3's clock."""
    answer = _first(account, names, bucket)
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    start, end = f"{names.prefix}/{RUNS}/", f"/{LEASE}"
    return tuple(
        each["Key"].removeprefix(start).removesuffix(end)
        for each in found
        if each["Key"].startswith(start)
        and each["Key"].endswith(end)
        and (now - each["LastModified"]).total_seconds() < CLAIM_S
    )


def _resources(account: Account, names: Names) -> Iterator[Resource]:
    listed = account.pages(
        "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=names.stack
    )
    for each in listed:
        name = each.get("PhysicalResourceId", each["LogicalResourceId"])
        yield Resource(type=each["ResourceType"], name=name, state=each["ResourceStatus"])


def _versions(account: Account, names: Names) -> Iterator[Mapping[str, Any]]:
    """Yield the deployment's functions in all their versions: only what is kept ready has more than the latest."""
    for each in account.pages("lambda", "list_functions", "Functions", FunctionVersion="ALL"):
        if owned(names.deployment, each["FunctionName"]):
            yield each


def _ready(account: Account, version: Mapping[str, Any]) -> Ready:
    return Ready(
        function=version["FunctionName"],
        size=Size(
            memory_mb=version["MemorySize"],
            architecture=version["Architectures"][0],
            snap_start=version.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions",
        ),
        environments=_environments(account, version),
    )


def _environments(account: Account, version: Mapping[str, Any]) -> int:
    wanted = {"FunctionName": version["FunctionName"], "Qualifier": version["Version"]}
    try:
        answer = account.ask("lambda", "get_provisioned_concurrency_config", **wanted)
    except CloudError as error:
        if error.code in _NONE_WAIT:
            return 0
        raise
    return int(answer["RequestedProvisionedConcurrentExecutions"])


def _layers(account: Account, names: Names) -> Iterator[tuple[str, tuple[int, ...]]]:
    for each in account.pages("lambda", "list_layers", "Layers"):
        name = each["LayerName"]
        if owned(names.deployment, name):
            versions = account.pages("lambda", "list_layer_versions", "LayerVersions", LayerName=name)
            yield name, tuple(sorted(version["Version"] for version in versions))


def _log_bytes(account: Account, names: Names) -> int | None:
    wanted = {"logGroupNamePrefix": names.log_group}
    try:
        for group in account.pages("logs", "describe_log_groups", "logGroups", **wanted):
            if group["logGroupName"] == names.log_group:
                return int(group.get("storedBytes", 0))
    except CloudError as error:
        if error.code not in DENIED:
            raise
    return None
