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
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from graphlambda.account.aws import Account
    from graphlambda.deployer.names import Names

_NONE_WAIT = frozenset({"ProvisionedConcurrencyConfigNotFoundException", "ResourceNotFoundException", "404"})
"""What Lambda says of a version that nothing is provisioned for, or that is gone, and a server that knows of no such thing."""

_LATEST = "$LATEST"
MISSING = frozenset({"NoSuchBucket", "404", "NoSuchKey", "NoSuchUpload"})


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
    stack_id = answer["Stacks"][0]["StackId"] if answer else ""  # it is known by that when it is gone, too
    choices = chosen(account, names, stack_id) if answer else None
    bucket = _bucket(account, names, stack.bucket if stack else choices.bucket if choices else "")
    parts, leases = _held(account, names, bucket) if bucket else ({}, {})
    versions = [*_versions(account, names)]
    return Standing(
        names=names,
        state=state,
        stack=stack,
        is_ours=choices is not None,
        resources=tuple(_resources(account, stack_id)) if answer else (),
        functions=tuple(sorted({each["FunctionName"] for each in versions})),
        ready=tuple(_ready(account, each) for each in versions if each["Version"] != _LATEST),
        layers=dict(_layers(account, names)),
        bucket=bucket,
        parts=parts,
        uploads=len([*uploads(account, names, bucket)]) if bucket else 0,
        log_bytes=_log_bytes(account, names),
        living=_living(account, names, bucket, leases),
    )


def uploads(account: Account, names: Names, bucket: str) -> Iterator[Mapping[str, Any]]:
    """Yield the uploads in parts below the deployment's prefix that nobody has ended; raises `CloudError`."""
    return listed(account, names, bucket, f"{names.prefix}/", "list_multipart_uploads", "Uploads")


def listed(
    account: Account, names: Names, bucket: str, below: str, method: str, *keys: str, **more: str
) -> Iterator[Mapping[str, Any]]:
    """Yield what a list of a bucket holds; no more where somebody deletes the bucket meanwhile. Raises `CloudError`."""
    wanted = {"Bucket": bucket, "Prefix": below, "ExpectedBucketOwner": names.account, **more}
    try:
        yield from account.pages("s3", method, *keys, **wanted)
    except CloudError as error:
        if error.code not in MISSING:
            raise


def _bucket(account: Account, names: Names, named: str) -> str:
    """Return the bucket that the stack names, or the one that a stack would have made, if it is there."""
    try:
        _first(account, names, named or names.bucket)
    except CloudError as error:
        if error.code in MISSING or (error.code in DENIED and not named):  # of somebody else
            return ""
        raise
    return named or names.bucket


def _first(account: Account, names: Names, bucket: str) -> Mapping[str, Any]:
    """Look whether there is a bucket, as whoever may list nothing but our prefix may."""
    below = {"Bucket": bucket, "Prefix": f"{names.prefix}/", "ExpectedBucketOwner": names.account}
    return account.ask("s3", "list_objects_v2", **below, MaxKeys=1)


def _held(account: Account, names: Names, bucket: str) -> tuple[dict[str, Amount], dict[str, datetime]]:
    """Return how much lies in each part of a bucket, and the runs that have a lease, with the time of its renewal."""
    parts: dict[str, Amount] = {}
    leases: dict[str, datetime] = {}
    for each in listed(account, names, bucket, f"{names.prefix}/", "list_objects_v2", "Contents"):
        part, _, rest = each["Key"].removeprefix(f"{names.prefix}/").partition("/")
        before = parts.get(part, Amount(objects=0, size_bytes=0))
        parts[part] = Amount(objects=before.objects + 1, size_bytes=before.size_bytes + each["Size"])
        if part == RUNS and rest.endswith(f"/{LEASE}"):
            leases[rest.removesuffix(f"/{LEASE}")] = each["LastModified"]
    return dict(sorted(parts.items())), leases


def _living(account: Account, names: Names, bucket: str, leases: Mapping[str, datetime]) -> tuple[str, ...]:
    """Return the runs whose lease was renewed a moment ago, by S3's clock."""
    if not leases:
        return ()
    answer = _first(account, names, bucket)
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    return tuple(run for run, renewed in leases.items() if (now - renewed).total_seconds() < CLAIM_S)


def _resources(account: Account, stack: str) -> Iterator[Resource]:
    wanted = {"StackName": stack}
    for each in account.pages("cloudformation", "list_stack_resources", "StackResourceSummaries", **wanted):
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
