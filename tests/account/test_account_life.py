"""An account from empty to empty: init, status and destroy against moto, which shows what is asked of AWS.

moto makes neither caches nor bucket policies (`DROPPED`), and does not delete managed policies with their stack
(`KEPT`): that those come about and go is CloudFormation's word alone, and not tried here.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar
from zlib import crc32

import pytest

from graphlambda.account import Stack, making, network, rootkey
from graphlambda.account.aws import Account
from graphlambda.account.choices import Choices, grant
from graphlambda.account.stack import ABSENT
from graphlambda.account.stacks import LAG_S, Patience, additions, chosen, create, delete
from graphlambda.account.standing import Ready, Standing, survey
from graphlambda.account.template import template
from graphlambda.api.account import root_of
from graphlambda.api.buckets import place_at
from graphlambda.api.records import manifests_of
from graphlambda.api.removing import removal_of
from graphlambda.cli import main
from graphlambda.config import Config, load
from graphlambda.deployer.aws import aws_cloud
from graphlambda.deployer.manifests import Manifests, of_function, of_layer
from graphlambda.deployer.names import LEASES, MANIFESTS
from graphlambda.errors import CloudError, ConfigError, StackError
from graphlambda.prices import Size
from graphlambda.store.claims import Owner
from graphlambda.store.s3_folders import S3Folders
from tests.account.cases import CASES, NAMES, PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphlambda.account.template import Template
    from graphlambda.deployer.names import Names

DROPPED = {
    "AWS::EC2::SecurityGroupEgress",
    "AWS::ElastiCache::ServerlessCache",
    "AWS::ElastiCache::User",
    "AWS::ElastiCache::UserGroup",
    "AWS::S3::BucketPolicy",
}
"""Types of ours that moto's CloudFormation passes over."""

KEPT = {"AWS::IAM::ManagedPolicy"}
"""Types of ours that moto does not delete with their stack."""

PATIENCE = Patience()


@pytest.fixture
def names(moto_account: Account, request: pytest.FixtureRequest) -> Iterator[Names]:
    """Return the names of a deployment of this test's own; nothing is left of it for the next test."""
    deployment = f"t{crc32(request.node.name.encode()) % 10**7}"
    found = moto_account.names(deployment)
    yield found
    standing = survey(moto_account, found)
    if not standing.is_empty:
        remove(moto_account, standing)


def remove(account: Account, standing: Standing) -> Standing:
    """Remove what stands, of functions only what is proved by a manifest."""
    removal = removal_of(config_of(standing.names), account, standing)
    return removal.remove(removal.agreeable(standing))


def config_of(names: Names) -> Config:
    store = f"s3://{names.bucket}/{names.prefix}"
    where = {"endpoint": "aws", "deployment_id": names.deployment, "region": names.region}
    return load({**where, "role": names.role_arn, "store": store})


def vouch(names: Names) -> None:
    """Write the manifests of what is there, as whoever makes it does."""
    config = config_of(names)
    cloud, manifests = aws_cloud(names.region), manifests_of(config, root_of(config))
    functions, layers = cloud.names(f"gl-{names.deployment}-")
    for name, found in cloud.describe(functions=functions).functions.items():
        manifests.vouch(name, of_function(found.configuration, found.layers))
    for name, layer in cloud.describe(layers=layers).layers.items():
        manifests.vouch(name, of_layer(layer.code_sha256))


def exists(account: Account, names: Names) -> dict[str, bool]:
    """Ask each service itself for what a plain template makes."""
    buckets = {bucket["Name"] for bucket in account.ask("s3", "list_buckets")["Buckets"]}
    groups = {group["logGroupName"] for group in account.ask("logs", "describe_log_groups")["logGroups"]}
    roles = {role["RoleName"] for role in account.ask("iam", "list_roles")["Roles"]}
    policies = {
        policy["PolicyName"] for policy in account.ask("iam", "list_policies", Scope="Local")["Policies"]
    }
    return {
        "AWS::S3::Bucket": names.bucket in buckets,
        "AWS::Logs::LogGroup": names.log_group in groups,
        "AWS::IAM::Role": names.role in roles,
        "AWS::IAM::ManagedPolicy": {names.policy, names.runner_policy} <= policies,
    }


def deploy(account: Account, names: Names, name: str, tags: dict[str, str]) -> None:
    """Make a function, with a layer, as a deployer does."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr("operation.py", "")
    account.ask(
        "lambda",
        "create_function",
        FunctionName=name,
        Runtime="python3.11",
        Role=names.role_arn,
        Handler="operation.handler",
        Code={"ZipFile": code.getvalue()},
        Tags=tags,
    )


def publish(account: Account, name: str, description: str) -> None:
    """Publish a version of a layer whose bytes are like no other description's."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr("python/module.py", description)
    account.ask(
        "lambda",
        "publish_layer_version",
        LayerName=name,
        Description=description,
        Content={"ZipFile": code.getvalue()},
    )


def run(*words: str) -> int:
    return main(["aws", *words])


def test_each_resource_that_moto_makes_is_there_after_init_and_gone_after_destroy(
    moto_account: Account, names: Names, capsys: pytest.CaptureFixture[str]
) -> None:
    types = {each["Type"] for each in template(names, PLAIN)["Resources"].values()}
    assert types - DROPPED == set(exists(moto_account, names))

    assert run("init", "--deployment", names.deployment, "--yes") == 0
    assert "root key  made" in capsys.readouterr().out
    assert all(exists(moto_account, names).values())

    deploy(moto_account, names, f"gl-{names.deployment}-mean-1", {"graphlambda": names.deployment})
    publish(moto_account, f"gl-{names.deployment}-numpy-py311-x-0123456789ab", "0123456789abcdef")
    vouch(names)
    put(moto_account, names, f"{names.prefix}/values/run/value")
    assert run("status", "--deployment", names.deployment) == 0
    told = capsys.readouterr().out
    assert names.stack in told
    assert f"gl-{names.deployment}-mean-1" in told
    assert "$0.00 a month" in told

    assert run("destroy", "--deployment", names.deployment, "--yes") == 0
    assert f"Nothing is left of {names.deployment}" in capsys.readouterr().out
    assert {kind for kind, is_there in exists(moto_account, names).items() if is_there} == KEPT
    assert survey(moto_account, names).is_empty


def put(account: Account, names: Names, key: str, bucket: str = "") -> None:
    account.ask("s3", "put_object", Bucket=bucket or names.bucket, Key=key, Body=b"bytes")


def test_destroy_leaves_what_no_manifest_proves_to_be_ours(
    moto_account: Account, names: Names, capsys: pytest.CaptureFixture[str]
) -> None:
    other = replace(names, deployment=f"{names.deployment}x")
    ours, planted = f"gl-{names.deployment}-mean-1", f"gl-{names.deployment}-planted-1"
    layer = f"gl-{names.deployment}-numpy-py311-x-0123456789ab"
    rootkey.write(moto_account, create(moto_account, names, template(names, PLAIN), PATIENCE), PATIENCE)
    deploy(moto_account, names, ours, {"graphlambda": names.deployment})
    publish(moto_account, layer, "ours")
    vouch(names)
    deploy(moto_account, names, planted, {"graphlambda": names.deployment})
    deploy(moto_account, names, f"gl-{other.deployment}-mean-1", {"graphlambda": other.deployment})
    publish(moto_account, layer, "somebody else's, of the same name")

    assert run("destroy", "--deployment", names.deployment, "--yes") == 1

    left = survey(moto_account, names)
    assert (left.functions, left.layers, left.state) == ((planted,), {layer: (2,)}, ABSENT)
    told = capsys.readouterr().out
    assert f"function:{planted}  no manifest" in told
    assert planted in told.partition("This is left")[2]
    assert survey(moto_account, other).functions == (f"gl-{other.deployment}-mean-1",)
    for name in (planted, f"gl-{other.deployment}-mean-1"):
        moto_account.ask("lambda", "delete_function", FunctionName=name)
    moto_account.ask("lambda", "delete_layer_version", LayerName=layer, VersionNumber=2)


def test_without_the_root_key_no_function_is_deleted(
    moto_account: Account, names: Names, capsys: pytest.CaptureFixture[str]
) -> None:
    create(moto_account, names, template(names, PLAIN), PATIENCE)
    function = f"gl-{names.deployment}-mean-1"
    deploy(moto_account, names, function, {"graphlambda": names.deployment})
    assert run("destroy", "--deployment", names.deployment, "--yes") == 1
    assert f"stays   {function}  there is no root key" in capsys.readouterr().out
    assert survey(moto_account, names).functions == (function,)
    moto_account.ask("lambda", "delete_function", FunctionName=function)


def folders_below(names: Names, part: str) -> S3Folders:
    place = place_at(f"s3://{names.bucket}/{names.prefix}", config_of(names))
    return S3Folders(place.below(part).objects(place.keys))


def needed_elsewhere(account: Account, names: Names) -> Manifests:
    """Make a function; return the manifests of a client elsewhere that needs it."""
    rootkey.write(account, create(account, names, template(names, PLAIN), PATIENCE), PATIENCE)
    deploy(account, names, f"gl-{names.deployment}-mean-1", {"graphlambda": names.deployment})
    vouch(names)
    elsewhere = Owner(nonce="1", process=1, host="elsewhere")
    theirs = Manifests(
        folders_below(names, MANIFESTS),
        folders_below(names, LEASES),
        root_key(account, names),
        names.deployment,
        region=names.region,
        client=lambda: elsewhere,
    )
    theirs.hold([f"gl-{names.deployment}-mean-1"])
    return theirs


def test_nothing_is_removed_that_a_deploy_elsewhere_needs(moto_account: Account, names: Names) -> None:
    theirs = needed_elsewhere(moto_account, names)
    standing = survey(moto_account, names)
    with pytest.raises(StackError, match=r"a client needs gl-.*process 1 on elsewhere needs it"):
        remove(moto_account, standing)
    assert survey(moto_account, names) == standing
    function = f"gl-{names.deployment}-mean-1"
    moto_account.ask("lambda", "delete_function", FunctionName=function)
    with pytest.raises(StackError, match=rf"a client needs {function}: process 1 on elsewhere needs it"):
        remove(moto_account, standing)  # who is about to make it again
    for lease in theirs.leases():
        theirs.end(lease)


class Ended(Account):
    """An account in which CloudFormation has ended badly what it did to a stack that is there."""

    state = "DELETE_FAILED"

    def described(self, stack: str) -> Mapping[str, Any] | None:
        found = super().described(stack)
        if found is None or found["Stacks"][0]["StackStatus"] == ABSENT:
            return found
        return {**found, "Stacks": [{**found["Stacks"][0], "StackStatus": self.state, "Outputs": []}]}


def test_whatever_has_become_of_the_stack_what_a_client_needs_stays_and_then_all_goes(
    moto_account: Account, names: Names
) -> None:
    theirs = needed_elsewhere(moto_account, names)
    account = Ended(moto_account.session, moto_account.region)
    for Ended.state in ("DELETE_FAILED", "ROLLBACK_COMPLETE"):
        standing = survey(account, names)
        assert (standing.state, standing.stack) == (Ended.state, None)
        with pytest.raises(StackError, match=r"a client needs gl-.*process 1 on elsewhere needs it"):
            remove(account, standing)
    assert root_key(moto_account, names)
    for lease in theirs.leases():
        theirs.end(lease)
    assert remove(account, survey(account, names)).is_empty


def test_init_again_changes_what_was_asked_for_and_keeps_the_root_key(
    moto_account: Account, names: Names
) -> None:
    def init(flags: dict[str, Any]) -> tuple[list[tuple[str, str]], bool]:
        intent = making.intend(moto_account, names, flags, PATIENCE)
        _, is_new = making.carry_out(moto_account, intent, PATIENCE)
        return [(each.action, each.type) for each in intent.changes], is_new

    created, is_new = init({})
    assert ({action for action, _ in created}, is_new) == ({"Add"}, True)
    key = root_key(moto_account, names)
    assert len(key) == 32
    assert init({}) == ([], False)
    assert init({"data": ["s3://observations/era5"]}) == ([("Modify", "AWS::IAM::Role")], False)
    assert chosen(moto_account, names) == Choices(data=(grant("s3://observations/era5"),))
    assert root_key(moto_account, names) == key


def root_key(account: Account, names: Names) -> bytes:
    place = {"Bucket": names.bucket, "Key": f"{names.prefix}/keys/root.key"}
    answer = account.ask("s3", "get_object", **place)
    assert answer["ServerSideEncryption"] == "AES256"
    content: bytes = answer["Body"].read()
    return content


def test_what_an_administrator_made_of_the_printed_template_is_adopted_as_it_is(
    moto_account: Account, names: Names, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("init", "--deployment", names.deployment, "--template") == 0
    printed = capsys.readouterr().out
    assert json.loads(printed) == template(names, PLAIN)
    moto_account.ask("cloudformation", "create_stack", StackName=names.stack, TemplateBody=printed)

    stack, is_new = making.carry_out(moto_account, making.adopt(moto_account, names), PATIENCE)

    assert is_new
    assert stack == Stack(
        names=names,
        bucket=names.bucket,
        prefix=names.prefix,
        role_arn=names.role_arn,
        log_group=names.log_group,
    )


def test_a_stack_of_somebody_elses_with_our_name_is_neither_changed_nor_deleted(
    moto_account: Account, names: Names
) -> None:
    theirs = {
        "Resources": {"Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/theirs"}}}
    }
    answer = moto_account.ask(
        "cloudformation", "create_stack", StackName=names.stack, TemplateBody=json.dumps(theirs)
    )
    with pytest.raises(StackError, match="does not say that it is of this deployment"):
        making.intend(moto_account, names, {}, PATIENCE)
    with pytest.raises(StackError, match="no output Deployment"):
        making.adopt(moto_account, names)
    assert run("destroy", "--deployment", names.deployment, "--yes") == 1
    moto_account.ask("cloudformation", "delete_stack", StackName=answer["StackId"])


def test_nothing_is_removed_while_a_client_goes_on_with_a_run(moto_account: Account, names: Names) -> None:
    made = create(moto_account, names, template(names, PLAIN), PATIENCE)
    put(moto_account, names, f"{made.prefix}/runs/run-1/lease")
    standing = survey(moto_account, names)
    with pytest.raises(StackError, match="goes on with run-1: `graphlambda cancel`"):
        remove(moto_account, standing)
    assert survey(moto_account, names) == standing
    key = f"{made.prefix}/runs/run-1/lease"
    moto_account.ask("s3", "delete_object", Bucket=made.bucket, Key=key)


def test_a_bucket_that_holds_what_is_not_ours_stays_and_what_is_ours_is_not_listed_for_that(
    moto_account: Account, names: Names
) -> None:
    create(moto_account, names, template(names, PLAIN), PATIENCE)
    theirs = ("thesis.pdf", "music/1", "music/2", "graphlambda/", "graphlambda/others/1")
    found: list[str] = []

    def note(parsed: dict[str, Any], **_: Any) -> None:
        found.extend(each["Key"] for each in parsed.get("Versions", ()))

    moto_account.client("s3").meta.events.register("after-call.s3.ListObjectVersions", note)
    for key in (*theirs, f"{names.prefix}/values/run/value"):
        put(moto_account, names, key)
    everything = r"thesis\.pdf, music/, graphlambda/, graphlambda/others/, which is not"
    with pytest.raises(StackError, match=f"also holds {everything}"):
        remove(moto_account, survey(moto_account, names))
    assert found == ["thesis.pdf", "graphlambda/"]
    for key in theirs:
        moto_account.ask("s3", "delete_object", Bucket=names.bucket, Key=key)


def test_of_a_bucket_of_others_only_our_prefix_is_emptied_old_versions_and_uploads_included(
    moto_account: Account, names: Names
) -> None:
    theirs = f"theirs-{names.deployment}"
    moto_account.ask("s3", "create_bucket", Bucket=theirs)
    moto_account.ask(
        "s3", "put_bucket_versioning", Bucket=theirs, VersioningConfiguration={"Status": "Enabled"}
    )
    made = create(moto_account, names, template(names, Choices(bucket=theirs)), PATIENCE)
    for key in (f"{made.prefix}/values/run/value", f"{made.prefix}/values/run/value", "thesis.pdf"):
        put(moto_account, names, key, theirs)
    moto_account.ask("s3", "create_multipart_upload", Bucket=theirs, Key=f"{made.prefix}/values/run/large")
    moto_account.ask("s3", "delete_object", Bucket=theirs, Key=f"{made.prefix}/values/run/value")

    assert remove(moto_account, survey(moto_account, names)).is_empty

    left = moto_account.ask("s3", "list_object_versions", Bucket=theirs)
    assert [each["Key"] for each in left["Versions"]] == ["thesis.pdf"]
    assert "DeleteMarkers" not in left
    assert "Uploads" not in moto_account.ask("s3", "list_multipart_uploads", Bucket=theirs)


def test_every_request_to_s3_names_the_account_that_must_own_the_bucket(
    moto_account: Account, names: Names
) -> None:
    asked: list[tuple[str, bool]] = []

    def note(params: dict[str, Any], event_name: str, **_: Any) -> None:
        asked.append((event_name, params.get("ExpectedBucketOwner") == names.account))

    moto_account.client("s3").meta.events.register("before-parameter-build.s3", note)
    made = create(moto_account, names, template(names, PLAIN), PATIENCE)
    assert rootkey.write(moto_account, made, PATIENCE)
    moto_account.ask(
        "s3",
        "create_multipart_upload",
        Bucket=made.bucket,
        Key=f"{made.prefix}/values/x",
        ExpectedBucketOwner=names.account,
    )
    remove(moto_account, survey(moto_account, names))
    assert len({name for name, _ in asked}) > 6
    assert [name for name, is_named in asked if not is_named] == []


class Typed(io.StringIO):
    """A terminal at which somebody has typed."""

    def isatty(self) -> bool:
        return True


def test_init_asks_first_and_makes_nothing_where_nobody_agrees(
    moto_account: Account, names: Names, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Typed("no\n"))
    assert run("init", "--deployment", names.deployment) == 1
    told = capsys.readouterr().out
    assert all(each.name in told for each in additions(template(names, PLAIN)))
    assert survey(moto_account, names).is_empty

    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    assert run("init", "--deployment", names.deployment) == 1
    assert "say --yes" in capsys.readouterr().err


def test_policies_are_printed_for_an_administrator(
    moto_account: Account, names: Names, capsys: pytest.CaptureFixture[str]
) -> None:
    from graphlambda.account import policies

    assert moto_account.region == names.region
    choices = Choices(cache="valkey-public", data=(grant("s3://observations/era5"),))
    words = ("--deployment", names.deployment, "--cache", "valkey-public", "--data", "s3://observations/era5")
    assert run("policy", "function", *words) == 0
    assert json.loads(capsys.readouterr().out) == policies.function(names, choices)
    assert run("policy", *words) == 0
    assert set(json.loads(capsys.readouterr().out)) > {"deployer", "runner", "function", "trust", "bucket"}


def test_functions_are_put_into_a_subnet_of_each_zone_with_a_way_to_s3(
    moto_account: Account, names: Names
) -> None:
    found = network.find(moto_account, names, vpc="", subnets=(), security_groups=())
    made = create(
        moto_account,
        names,
        without_dropped(template(names, Choices(cache="valkey-vpc", vpc=found))),
        PATIENCE,
    )
    assert made.subnets == found.subnets
    (way,) = [*moto_account.pages("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=ours(names))]
    assert way["RouteTableIds"] == list(found.route_tables)
    groups = [*moto_account.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=ours(names))]
    assert {group["GroupName"] for group in groups} == {f"{names.cache}-cache", f"{names.cache}-function"}
    assert made.security_groups[0] in {group["GroupId"] for group in groups}

    again = network.find(moto_account, names, vpc=found.id, subnets=found.subnets, security_groups=())
    assert again == found, "our own way to S3 does not count as somebody's"
    others = replace(names, deployment="others")
    assert network.find(moto_account, others, vpc="", subnets=(), security_groups=()).route_tables == ()

    delete(moto_account, names, PATIENCE)
    left = [*moto_account.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=ours(names))]
    assert left == []


class KilledError(BaseException):
    """A process was killed; no `except Exception` sees it."""


LOOKS = ("describe_", "get_", "list_")


class Mortal(Account):
    """An account whose client is killed when it has changed something, before it is told."""

    def ask(self, service: str, method: str, **params: Any) -> Mapping[str, Any]:
        answer = super().ask(service, method, **params)
        if not method.startswith(LOOKS):
            raise KilledError(method)
        return answer


def filled(account: Account, names: Names) -> None:
    """Make a deployment of which there is something everywhere."""
    rootkey.write(account, create(account, names, template(names, PLAIN), PATIENCE), PATIENCE)
    put(account, names, f"{names.prefix}/values/run/value")
    upload = {"Bucket": names.bucket, "Key": f"{names.prefix}/values/run/large"}
    account.ask("s3", "create_multipart_upload", **upload)


def test_an_end_that_is_killed_after_each_of_its_changes_is_gone_on_with(
    moto_account: Account, names: Names
) -> None:
    filled(moto_account, names)
    deploy(moto_account, names, f"gl-{names.deployment}-mean-1", {"graphlambda": names.deployment})
    publish(moto_account, f"gl-{names.deployment}-numpy-py311-x-0123456789ab", "0123456789abcdef")
    vouch(names)
    killed = []
    mortal = Mortal(moto_account.session, moto_account.region)
    while not (standing := survey(moto_account, names)).is_empty:
        try:
            remove(mortal, standing)
        except KilledError as died:
            killed.append(died.args[0])
    assert killed == ["abort_multipart_upload", "delete_objects", "delete_stack"]
    assert {kind for kind, is_there in exists(moto_account, names).items() if is_there} == KEPT


def test_a_beginning_that_is_killed_after_each_of_its_changes_is_gone_on_with(
    moto_account: Account, names: Names
) -> None:
    mortal = Mortal(moto_account.session, moto_account.region)
    for change in ("create_stack", "create_change_set"):
        with pytest.raises(KilledError, match=change):
            making.carry_out(mortal, making.intend(mortal, names, {}, PATIENCE), PATIENCE)
    _, is_new = making.carry_out(moto_account, making.intend(moto_account, names, {}, PATIENCE), PATIENCE)
    assert (is_new, len(root_key(moto_account, names))) == (True, 32)


class Overtaken(Account):
    """An account from which somebody else removes all of it just before a client's first change of one kind."""

    before = ""

    def ask(self, service: str, method: str, **params: Any) -> Mapping[str, Any]:
        if method == Overtaken.before:
            Overtaken.before = ""
            other = Account(self.session, self.region)
            assert remove(other, survey(other, other.names(Overtaken.deployment))).is_empty
        return super().ask(service, method, **params)

    deployment = ""


@pytest.mark.parametrize("change", ["abort_multipart_upload", "delete_objects", "delete_stack"])
def test_of_two_that_remove_a_deployment_at_once_both_come_to_a_clean_end(
    moto_account: Account, names: Names, change: str
) -> None:
    filled(moto_account, names)
    Overtaken.before, Overtaken.deployment = change, names.deployment
    assert remove(Overtaken(moto_account.session, moto_account.region), survey(moto_account, names)).is_empty
    assert Overtaken.before == ""


def test_what_was_made_after_somebody_agreed_is_shown_before_its_proof_is_lost(
    moto_account: Account, names: Names
) -> None:
    filled(moto_account, names)
    standing, minutes = survey(moto_account, names), count(0.0, LAG_S + 1.0)
    removal = removal_of(config_of(names), moto_account, standing)
    agreed = removal.agreeable(standing)
    deploy(moto_account, names, f"gl-{names.deployment}-mean-1", {"graphlambda": names.deployment})
    vouch(names)
    with pytest.raises(StackError, match=rf"meanwhile somebody has made gl-{names.deployment}-mean-1: "):
        replace(removal, patience=Patience(lambda: next(minutes))).remove(agreed)
    assert remove(moto_account, survey(moto_account, names)).is_empty


class Lagging(Account):
    """An account in which S3 refuses some calls once, for what passes."""

    refusals: ClassVar[dict[str, list[str]]] = {}

    def ask(self, service: str, method: str, **params: Any) -> Mapping[str, Any]:
        if codes := Lagging.refusals.get(method):
            code = codes.pop(0)
            if method == "delete_objects":
                return {"Errors": [{"Key": "value", "Code": code}]}
            raise CloudError(method, code, "try again")
        return super().ask(service, method, **params)


def test_what_s3_does_not_know_yet_and_what_is_in_its_way_is_waited_for(
    moto_account: Account, names: Names
) -> None:
    account = Lagging(moto_account.session, moto_account.region)
    Lagging.refusals = {
        "put_object": ["NoSuchBucket", "ConditionalRequestConflict", "OperationAborted"],
        "delete_objects": ["InternalError", "SlowDown"],
        "abort_multipart_upload": ["NoSuchUpload"],
    }
    assert rootkey.write(account, create(account, names, template(names, PLAIN), PATIENCE), PATIENCE)
    upload = {"Bucket": names.bucket, "Key": f"{names.prefix}/values/run/large"}
    moto_account.ask("s3", "create_multipart_upload", **upload)
    assert remove(account, survey(account, names)).is_empty
    assert not any(Lagging.refusals.values())


class Provisioned(Account):
    """An account whose versions have three environments that wait: moto knows nothing of them."""

    def ask(self, service: str, method: str, **params: Any) -> Mapping[str, Any]:
        if method == "get_provisioned_concurrency_config":
            return {"RequestedProvisionedConcurrentExecutions": 3}
        return super().ask(service, method, **params)


def test_what_aws_keeps_ready_of_a_function_is_seen(moto_account: Account, names: Names) -> None:
    made = create(moto_account, names, template(names, PLAIN), PATIENCE)
    name = f"gl-{made.names.deployment}-mean-1"
    deploy(moto_account, names, name, {"graphlambda": names.deployment})
    moto_account.ask("lambda", "publish_version", FunctionName=name)
    standing = survey(Provisioned(moto_account.session, moto_account.region), names)
    moto_account.ask("lambda", "delete_function", FunctionName=name)
    assert standing.functions == (name,)
    assert standing.ready == (Ready(function=name, size=Size(memory_mb=128), environments=3),)


def ours(names: Names) -> list[dict[str, Any]]:
    return [{"Name": "tag:graphlambda", "Values": [names.deployment]}]


def without_dropped(made: Template) -> Template:
    """Return a template without what moto passes over, and without what refers to that."""
    dropped = {name for name, each in made["Resources"].items() if each["Type"] in DROPPED}
    told = {
        key: output
        for key, output in made["Outputs"].items()
        if not any(f'"{name}"' in json.dumps(output) for name in dropped) and not key.startswith("Cache")
    }
    resources = {name: each for name, each in made["Resources"].items() if name not in dropped}
    return {**made, "Resources": resources, "Outputs": told}


def test_a_bucket_of_ones_own_is_looked_at_below_our_prefix_and_not_where_nothing_is_to_be_made(
    moto_account: Account, names: Names
) -> None:
    flags, asked = {"bucket": f"{names.bucket}-own"}, []

    def note(event_name: str, params: dict[str, Any], **_: Any) -> None:
        asked.append((event_name.rpartition(".")[2], params.get("Prefix"), params.get("ExpectedBucketOwner")))

    moto_account.client("s3").meta.events.register("before-parameter-build.s3", note)
    assert making.draft(moto_account, names, flags).bucket == flags["bucket"]
    assert asked == []
    with pytest.raises(CloudError, match="NoSuchBucket"):
        making.intend(moto_account, names, flags, PATIENCE)
    assert asked == [("ListObjectsV2", f"{names.prefix}/", names.account)]


def test_a_place_in_a_vpc_is_asked_for_only_with_the_cache_there(moto_account: Account, names: Names) -> None:
    with pytest.raises(ConfigError, match="are for --cache valkey-vpc"):
        making.draft(moto_account, names, {"cache": "none", "subnets": ["subnet-1"]})


def test_what_moto_passes_over_is_all_that_is_not_tried() -> None:
    types = {
        each["Type"] for choices in CASES.values() for each in template(NAMES, choices)["Resources"].values()
    }
    tried = {
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::VPCEndpoint",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Role",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
    }
    assert types == tried | DROPPED
