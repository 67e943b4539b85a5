"""Take a deployment out of an account, and prove by listing that nothing of it is left.

In: what stands and what is proved, as it was shown to whoever agreed. Out: what stands afterwards. Must not touch what name,
tag and manifest do not prove to be this deployment's, nor anything while a client needs some of it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from graphlambda.account.stack import ABSENT
from graphlambda.account.stacks import Patience, delete
from graphlambda.account.standing import MISSING, listed, survey, uploads
from graphlambda.deployer.names import TAG
from graphlambda.deployer.sweep import Sweep
from graphlambda.errors import CloudError, StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from graphlambda.account.aws import Account
    from graphlambda.account.standing import Standing
    from graphlambda.deployer.names import Names
    from graphlambda.deployer.sweep import Piece

_ROUNDS = 5
"""How often a bucket is listed again, before somebody who writes to it is taken for endless."""

_MOST_DELETED = 1000
"""Objects of one DeleteObjects request."""

_SHOWN = 5
_PASSING = frozenset({"InternalError", "OperationAborted", "ServiceUnavailable", "SlowDown"})
"""What S3 says while somebody else changes a bucket, and of single objects that it could not delete at this moment."""

_NOT_OURS = frozenset({"NoSuchBucket", "NoSuchTagSet", "AccessDenied", "403", "404"})
"""What S3 says of a bucket that is gone, has no tags, or is somebody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """The functions and layers of a deployment, as the deployer proves whose they are."""

    look: Callable[[], Sweep]
    """Returns what is ours and nobody needs, and what stays, each with its reason."""

    delete: Callable[[Sweep], object]
    """Deletes what was agreed to, as far as nobody needs it by now; returns when Lambda needs their role no more."""


NOTHING_PROVED = Proved(look=Sweep, delete=lambda _: None)
"""Without the root key nothing shows who made a function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One deployment's end, in the order in which AWS allows it: who uses something goes before it."""

    account: Account
    names: Names
    proved: Proved
    patience: Patience = field(default_factory=Patience)

    def agreeable(self, standing: Standing) -> Sweep:
        """Return which functions and layers would go, and which stay.

        Raises:
            CloudError: AWS refuses to say.
            DeployError: manifests are out of reach.
            StackError: a client needs something, the stack is being changed, or its bucket holds what is not ours.
        """
        self._refuse(standing)
        found = self.proved.look()
        used = {arn for piece, _ in found.stays if not self._is_ours(piece) for arn in piece.stands_on}
        needed = [
            f"{piece.name}: {why}"
            for piece, why in found.stays
            if self._is_ours(piece) and piece.arn not in used
        ]
        if needed or found.awaited:
            raise StackError(f"a client needs {_some([*needed, *found.awaited])}")
        return found

    def _is_ours(self, piece: Piece) -> bool:
        return piece.manifest is not None and piece.tag in (None, self.names.deployment)

    def _refuse(self, standing: Standing) -> None:
        if standing.living:
            raise StackError(
                f"a client goes on with {_some(standing.living)}: `graphlambda cancel` ends a run, wherever its client is"
            )
        if standing.state.endswith("_IN_PROGRESS"):
            raise StackError(
                f"the stack {self.names.stack} is {standing.state}: try again once that has ended"
            )
        if strangers := [*islice(self._strangers(standing), _SHOWN)]:
            raise StackError(
                f"the bucket {standing.bucket} also holds {_some(strangers)}, which is not graphlambda's: move it elsewhere first"
            )

    def remove(self, agreed: Sweep) -> Standing:
        """Remove all of it but a stack that does not say that it is ours; return what stands then.

        Who began to use something meanwhile is asked for once more, at first and before anything is lost.

        Raises as `agreeable` does, and:
            StackError: something is still written to, or the stack cannot be deleted.
        """
        standing = survey(self.account, self.names)
        self.agreeable(standing)
        self.proved.delete(agreed)
        self._await_interfaces(standing)
        self._refuse_more()
        if standing.bucket:
            self._empty(standing.bucket)
        if standing.is_ours:
            delete(self.account, self.names, self.patience)
        self._remove_bucket()
        gone = self._buckets(standing)
        return self.patience.settled(
            lambda: survey(self.account, self.names), lambda left: left.bucket not in gone
        )

    def _refuse_more(self) -> None:
        """Refuse to go on where something was made meanwhile that nobody has agreed to lose: its proof lies in the bucket."""
        more = self.patience.settled(
            lambda: self.agreeable(survey(self.account, self.names)).gone, lambda gone: not gone
        )
        if more:
            named = _some([piece.name for piece in more])
            raise StackError(
                f"meanwhile somebody has made {named}: `graphlambda aws destroy` again shows that, too"
            )

    def _buckets(self, standing: Standing) -> set[str]:
        """Return the buckets that go with the stack."""
        made = {each.name for each in standing.resources if each.type == "AWS::S3::Bucket"}
        return made if standing.is_ours else set()

    def _await_interfaces(self, standing: Standing) -> None:
        """Wait until Lambda has taken back the network interfaces in security groups that go with the stack."""
        groups = [each.name for each in standing.resources if each.type == "AWS::EC2::SecurityGroup"]
        if not groups:
            return
        of_lambda = [
            {"Name": "group-id", "Values": groups},
            {"Name": "description", "Values": ["AWS Lambda VPC ENI*"]},
        ]

        def look() -> str:
            found = self.account.pages(
                "ec2", "describe_network_interfaces", "NetworkInterfaces", Filters=of_lambda
            )
            return "in use" if any(True for _ in found) else ABSENT

        self.patience.until(look, ABSENT.__eq__, "Lambda's network interface in the VPC")

    def _strangers(self, standing: Standing) -> Iterator[str]:
        """Yield what a bucket holds outside our prefix that goes with the stack: of a folder its name, not what lies in it."""
        if standing.bucket in self._buckets(standing):
            family = f"{self.names.prefix.partition('/')[0]}/"
            for below, ours in (("", family), (family, f"{self.names.prefix}/")):
                for each in self._versions(standing.bucket, below, Delimiter="/"):
                    if (name := each.get("Key") or each["Prefix"]) != ours:
                        yield name

    def _empty(self, bucket: str) -> None:
        """Delete all below our prefix: old versions, and uploads that nobody ended, included."""
        below = f"{self.names.prefix}/"
        owner = {"Bucket": bucket, "ExpectedBucketOwner": self.names.account}
        for each in [*uploads(self.account, self.names, bucket)]:
            wanted = {"Key": each["Key"], "UploadId": each["UploadId"]}
            with _passed_over(MISSING):
                self.account.ask("s3", "abort_multipart_upload", **owner, **wanted)
        for _ in range(_ROUNDS):
            rest = self._versions(bucket, below)
            first = [*islice(rest, _MOST_DELETED)]
            if not first:
                return
            while first:
                self.patience.through(partial(self._delete, owner, first), _PASSING)
                first = [*islice(rest, _MOST_DELETED)]
        raise StackError(f"s3://{bucket}/{below} is still written to: what runs there?")

    def _remove_bucket(self) -> None:
        """Delete the bucket that a stack made and left behind: it has our name and our tag."""
        place = {"Bucket": self.names.bucket, "ExpectedBucketOwner": self.names.account}
        tags: list[Mapping[str, str]] = []
        with _passed_over(_NOT_OURS):
            tags = self.account.ask("s3", "get_bucket_tagging", **place)["TagSet"]
        if {"Key": TAG, "Value": self.names.deployment} in tags:
            with _passed_over(MISSING):
                self.patience.through(partial(self.account.ask, "s3", "delete_bucket", **place), _PASSING)

    def _versions(self, bucket: str, below: str, **more: str) -> Iterator[Mapping[str, Any]]:
        keys = ("Versions", "DeleteMarkers", "CommonPrefixes")
        return listed(self.account, self.names, bucket, below, "list_object_versions", *keys, **more)

    def _delete(self, owner: Mapping[str, str], found: list[Mapping[str, Any]]) -> None:
        objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
        wanted = {**owner, "Delete": {"Objects": objects, "Quiet": True}}
        with _passed_over(MISSING):
            for failed in self.account.ask("s3", "delete_objects", **wanted).get("Errors", ()):
                raise CloudError(f"delete_objects {failed['Key']}", failed["Code"], failed.get("Message", ""))


@contextmanager
def _passed_over(codes: frozenset[str]) -> Iterator[None]:
    """Let a refusal for one of these reasons be the end of what was tried: somebody else was first."""
    try:
        yield
    except CloudError as error:
        if error.code not in codes:
            raise


def _some(names: list[str] | tuple[str, ...]) -> str:
    more = " and others" if len(names) >= _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
