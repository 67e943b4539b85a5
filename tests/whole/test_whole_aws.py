"""A session on AWS opens from the deployment's stack: Lambda's part is played by the local Lambda, the others' by moto."""

from __future__ import annotations

import json
import os
import platform
import secrets
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import dask.array as da
import pytest
from dask import delayed

import graphlambda
from graphlambda import config
from graphlambda.api import account
from graphlambda.api.account import settled
from graphlambda.api.building import plan_of
from graphlambda.api.doctor import diagnose
from graphlambda.api.given import given_to, settings_of
from graphlambda.api.session import session_of
from graphlambda.cli import main
from graphlambda.compiler import called_operations
from graphlambda.deployer.aws import aws_cloud
from graphlambda.errors import (
    CacheWarning,
    ConfigError,
    ProgramFileError,
    RefusedError,
    StackError,
    TargetError,
    TargetWarning,
)
from graphlambda.local import LocalSettings, start
from graphlambda.packager.machines import this_architecture, this_glibc
from graphlambda.runtime.identity import Keys
from graphlambda.testing.caches import cache_front
from graphlambda.testing.distributions import install
from graphlambda.testing.servers import valkey
from graphlambda.testing.wheels import make_wheel, shared_object
from tests.account.applying import by_cloudformation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphlambda.api.session import Session
    from graphlambda.local import LocalLambda
    from graphlambda.testing.caches import CacheFront
    from graphlambda.testing.s3_servers import S3Server

REGION = "eu-central-1"
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/graphlambda-function"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalLambda]:
    """Run what stands for Lambda; its account has eight invocations at one moment."""
    with start(LocalSettings(state=tmp_path_factory.mktemp("lambda"), concurrency=8)) as running:
        yield running


@pytest.fixture
def aws(moto: S3Server, local: LocalLambda, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Set the user's chain up for them; return the id of a deployment that has nothing yet."""
    keys = {
        "AWS_ACCESS_KEY_ID": local.credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": local.credentials.secret_key,
    }
    deployment = secrets.token_hex(4)
    for name, value in {
        **keys,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": moto.endpoint,
        "AWS_ENDPOINT_URL_LAMBDA": local.endpoint,
        "GRAPHLAMBDA_ENDPOINT": "aws",
        "GRAPHLAMBDA_DEPLOYMENT_ID": deployment,
    }.items():
        monkeypatch.setenv(name, value)
    local.set_identity(keys)  # the role that Lambda gives to functions
    yield deployment
    account.forget()


def init(deployment: str, key: bytes, **more: str) -> str:
    """Make a deployment's stack as `graphlambda aws init` does, as far as a session reads it; return its bucket."""
    bucket = f"graphlambda-{deployment}-{ACCOUNT}-{REGION}"
    prefix = f"graphlambda/{deployment}"
    told = {
        "Deployment": deployment,
        "Bucket": bucket,
        "Prefix": prefix,
        "RoleArn": ROLE,
        "LogGroup": "/l",
        **more,
    }
    template = {
        "Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}}},
        "Outputs": {name: {"Value": value} for name, value in told.items()},
    }
    boto3.client("cloudformation", REGION).create_stack(
        StackName=f"graphlambda-{deployment}", TemplateBody=json.dumps(template)
    )
    boto3.client("s3", REGION).put_object(Bucket=bucket, Key=f"{prefix}/keys/root.key", Body=key)
    return bucket


def array() -> da.Array:
    return da.arange(40, chunks=10).sum() * 2


def test_a_run_on_aws_has_the_stacks_role_bucket_and_key_and_leaves_none_of_them_here(aws: str) -> None:
    key = secrets.token_bytes(32)
    bucket = init(aws, key)
    assert graphlambda.compute(array(), inline_bytes=0)[0] == 1560
    session = session_of(config.load())
    assert (session.config.role, session.root) == (ROLE, key)
    assert session.store.address.startswith(f"s3://{bucket}/graphlambda/{aws}/values")
    assert key.hex() not in f"{session!r}{session.config!r}{session.endpoint!r}" + repr(session.root is key)
    kept = (path for path in Path(os.environ["GRAPHLAMBDA_STATE_DIR"]).rglob("*") if path.is_file())
    assert [path for path in kept if key in path.read_bytes()] == []
    objects = boto3.client("s3", REGION).list_objects_v2(Bucket=bucket)["Contents"]
    assert [each["Key"] for each in objects if "/values/" in each["Key"] or "/runs/" in each["Key"]] == []


def test_another_deployments_key_opens_no_program(aws: str, tmp_path: Path) -> None:
    init(aws, secrets.token_bytes(32))
    graphlambda.compile(array()).save(tmp_path / "program")
    assert graphlambda.load_program(tmp_path / "program").task_count > 0
    with pytest.raises(ProgramFileError, match="another key"):
        graphlambda.load_program(tmp_path / "program", endpoint="", deployment_id="local")


def test_functions_that_write_logs_and_others_differ_and_only_the_first_are_paced(aws: str) -> None:
    init(aws, secrets.token_bytes(32))
    program = graphlambda.compile(array())
    loud, quiet = (
        set(graphlambda.deploy(program, function_logs=logs).functions.values()) for logs in (True, False)
    )
    assert loud.isdisjoint(quiet)
    paces = [session_of(config.load({"function_logs": logs})).endpoint.rates for logs in (True, False)]
    assert [rates.cold_starts_per_s for rates in paces] == [50.0, None]


def test_what_was_exported_and_applied_by_other_means_is_deployed_without_a_call(
    aws: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = init(aws, secrets.token_bytes(32))
    program = graphlambda.compile(array())
    program.save(tmp_path / "program")
    made = ["--to", str(tmp_path / "made"), str(tmp_path / "program")]
    assert main(["export", "--format", "cloudformation", *made]) == 0
    assert f"s3://{bucket}/graphlambda/{aws}/artifacts/" in capsys.readouterr().out
    template = json.loads((tmp_path / "made" / "template.json").read_text())
    by_cloudformation(template, tmp_path / "made" / "artifacts", aws_cloud(REGION))
    assert graphlambda.plan(program).calls == ()
    deployment = graphlambda.deploy(program)
    assert (deployment.created, graphlambda.run(program, deployment)) == ((), (1560,))
    assert main(["export", "--format", "terraform-json", *made]) == 0
    functions = json.loads((tmp_path / "made" / "main.tf.json").read_text())["resource"][
        "aws_lambda_function"
    ]
    assert {each["function_name"] for each in functions.values()} == set(deployment.functions.values())


def test_what_would_not_load_on_aws_is_fetched_anew_or_refused_before_anything_is_made(
    aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda's part says here that it has this machine's C library; AWS says nothing."""
    init(aws, secrets.token_bytes(32))
    site, links = tmp_path / "site", tmp_path / "links"
    too_new, fine = (
        shared_object(this_architecture(), versions=[f"GLIBC_{version}"])
        for version in (this_glibc(), "2.17")
    )
    install(site, "app", {"app/__init__.py": "", "app/_fast.abi3.so": too_new})
    make_wheel(links, "other", {})
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    program = graphlambda.compile(delayed(abs)(-1))
    here = session_of(config.load({"requirements": ["app"]}))
    there = replace(here, endpoint=replace(here.endpoint, libc=None))

    def planned(session: Session) -> list[bytes]:
        """Return the distribution's file in each layer that would be made."""
        plan = plan_of(called_operations(program), session, given_to(program, session.config))
        zips = [zipfile.ZipFile(layer.zip_path) for layer in plan.layers]
        return [each.read("python/app/_fast.abi3.so") for each in zips]

    with pytest.warns(TargetWarning, match=r"AWS .* would refuse:\n  app==1\.0: .* needs glibc 2\."):
        assert planned(here) == [too_new]
    with pytest.raises(TargetError, match=r"  app 1\.0: app/_fast\.abi3\.so needs glibc 2\."):
        planned(there)
    make_wheel(
        links,
        "app",
        {"app/__init__.py": "", "app/_fast.abi3.so": fine},
        tag=f"py3-none-manylinux2014_{platform.machine()}",
    )
    assert planned(there) == [fine]


def test_what_is_not_on_aws_is_not_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graphlambda.compile(array()).save(tmp_path / "program")
    assert main(["export", "--format", "cloudformation", str(tmp_path / "program")]) == 1
    assert "GRAPHLAMBDA_ENDPOINT=aws" in capsys.readouterr().err


def test_paths_of_this_machine_are_refused_on_aws(aws: str, tmp_path: Path) -> None:
    init(aws, secrets.token_bytes(32))
    (tmp_path / "data").write_text("1")
    with pytest.raises(RefusedError, match=r"Put the data where both sides see it, such as s3://"):
        graphlambda.compute(delayed(len)(delayed(Path.read_text)(tmp_path / "data")))


def test_without_a_stack_the_error_says_where_it_was_looked_for_and_what_makes_it(aws: str) -> None:
    with pytest.raises(StackError) as caught:
        graphlambda.compute(array())
    assert str(caught.value).startswith(
        f"there is no stack graphlambda-{aws} in account {ACCOUNT}, region {REGION}. `graphlambda aws init` makes it"
    )


def test_with_role_and_store_given_no_stack_is_needed_and_the_key_is_ones_own(aws: str) -> None:
    boto3.client("s3", REGION).create_bucket(
        Bucket=f"own-{aws}", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    flags: dict[str, Any] = {"role": ROLE, "store": f"s3://own-{aws}/ours"}
    assert graphlambda.compute(array(), inline_bytes=0, **flags)[0] == 1560
    own = Path(os.environ["GRAPHLAMBDA_STATE_DIR"]) / "root.key"
    assert session_of(config.load(flags)).root == own.read_bytes()


def test_role_and_store_overrule_a_stack_whose_key_and_place_stay_the_deployments(aws: str) -> None:
    key = secrets.token_bytes(32)
    bucket = init(aws, key, Subnets="subnet-1", SecurityGroups="sg-1")
    flags = {"role": f"{ROLE}-of-mine", "store": f"s3://{bucket}/elsewhere"}
    session = session_of(config.load(flags))
    assert {"role": session.config.role, "store": session.config.store} == flags
    assert session.root == key
    assert settings_of(session.config).subnets == ("subnet-1",)


def test_a_key_that_is_gone_or_none_is_an_error_that_names_its_place(aws: str) -> None:
    bucket = init(aws, b"short")
    place = f"graphlambda/{aws}/keys/root.key"
    with pytest.raises(StackError, match=rf"s3://{bucket}/{place} holds 5 bytes instead of a key of 32"):
        graphlambda.compute(array())
    boto3.client("s3", REGION).delete_object(Bucket=bucket, Key=place)
    account.forget()
    with pytest.raises(ConfigError, match=r"the root key cannot be read: .*NoSuchKey.*graphlambda aws init"):
        graphlambda.compute(array())


def test_without_credentials_the_error_says_how_to_get_some(
    aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError, match="aws sso login"):
        graphlambda.compute(array())


def test_what_others_need_is_never_planned_for(aws: str) -> None:
    init(aws, secrets.token_bytes(32))
    planned = [
        session_of(config.load(flags)).endpoint.concurrency
        for flags in ({}, {"reserve": 6}, {"concurrency": 100}, {"concurrency": 3, "reserve": 2})
    ]
    assert planned == [8, 2, 8, 3]
    with pytest.raises(ConfigError, match=r"reserve=8: the account in eu-central-1 runs 8 invocations"):
        graphlambda.compute(array(), reserve=8)


def cached(port: int) -> dict[str, str]:
    """Return what a stack with a cache says more."""
    place = {"CacheHost": "localhost", "CachePort": str(port), "CacheUser": "default"}
    return {"CacheKind": "valkey-public", "CacheName": "graphlambda-test", **place}


@pytest.fixture
def front(local: LocalLambda, tmp_path: Path) -> Iterator[CacheFront]:
    """Run a serverless cache that takes the user and the functions, both of whom have the local Lambda's keys here."""
    keys = Keys(local.credentials.access_key, local.credentials.secret_key)
    with valkey(tmp_path / "behind") as url, cache_front(tmp_path / "front", url, keys) as front:
        yield front


def test_a_cache_that_asks_iam_takes_client_and_functions_each_with_their_own_keys(
    aws: str, front: CacheFront
) -> None:
    bucket = init(aws, secrets.token_bytes(32))
    store = f"{front.url}+s3://{bucket}/graphlambda/{aws}"
    assert graphlambda.compute(array(), inline_bytes=0, store=store)[0] == 1560
    assert front.sessions >= 2
    assert front.refused == []


def test_the_stacks_cache_stands_before_its_bucket_where_it_is_reached_and_a_warning_says_where_not(
    aws: str, front: CacheFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = init(aws, secrets.token_bytes(32), **cached(front.port))
    in_bucket = f"s3://{bucket}/graphlambda/{aws}"
    with pytest.warns(CacheWarning, match=rf"localhost:{front.port} failed: .*CERTIFICATE_VERIFY_FAILED"):
        assert settled(config.load()).store == in_bucket
    monkeypatch.setenv("SSL_CERT_FILE", str(front.certificate))
    account.forget()
    hot = f"rediss://default@localhost:{front.port}?iam=graphlambda-test&region={REGION}"
    assert settled(config.load()).store == f"{hot}+{in_bucket}"


def test_a_sweep_touches_nothing_of_another_account_or_region(
    aws: str, capsys: pytest.CaptureFixture[str]
) -> None:
    init(aws, secrets.token_bytes(32))
    graphlambda.compute(array())
    assert main(["aws", "sweep", "--older-than", "0", "--yes"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert (told[0], told[-1]) == (f"Deployment {aws} in {REGION}:{ACCOUNT}:", "Nothing is to be deleted.")
    assert len(told) > 3
    assert all(line.endswith("it is in another account or region") for line in told[1:-1])


def test_a_sweep_that_can_ask_nobody_deletes_nothing(aws: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["aws", "sweep"]) == 1
    assert "nobody is there to be asked" in capsys.readouterr().err


def told(**flags: Any) -> dict[str, str]:
    """Return the doctor's lines by subject; of several, the last."""
    return {line.subject: f"{line.verdict}: {line.told}" for line in diagnose(config.load(flags))}


def test_the_doctor_sees_what_is_missing_and_looks_on(aws: str) -> None:
    lines = told()
    assert lines["credentials"] == f"ok: arn:aws:sts::{ACCOUNT}:user/moto"
    assert lines["clock"].startswith("ok: ")
    assert lines["stack"].startswith(f"do: there is no stack graphlambda-{aws} in account {ACCOUNT}")
    assert lines["concurrency"].startswith("ok: 8, of which 8 are not reserved; runs use 8. 1,000 are usual")
    assert lines["a function"] == "skipped: see above"


def test_the_doctor_names_settings_of_aws_that_cannot_be_used(
    aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del aws
    monkeypatch.setenv("AWS_PROFILE", "nobodys")
    assert told()["credentials"].startswith("do: the AWS settings cannot be used: ")


def test_the_doctor_has_a_function_write_and_read_where_values_lie(aws: str) -> None:
    bucket = init(aws, secrets.token_bytes(32))
    s3 = boto3.client("s3", REGION)
    place = f"s3://{bucket}/graphlambda/{aws}"
    assert told()["bucket"].startswith(f"do: block all public access of {place}")
    closed = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=closed)
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    lines = told()
    assert lines["bucket"] == f"ok: {place}, this account's, encrypted (AES256), no public access"
    assert lines["a function"].startswith(f"ok: wrote and read in {place}; it took ")
    assert lines["memory"] == "ok: memory_mb=2048: the function below has it"
    assert lines["cache"] == "skipped: this deployment has none"
    assert lines["role"].startswith("do: ")  # moto knows no role of that name


def test_the_doctor_tries_the_cache_from_a_function(aws: str, front: CacheFront) -> None:
    bucket = init(aws, secrets.token_bytes(32))
    lines = told(store=f"{front.url}+s3://{bucket}/graphlambda/{aws}")
    assert lines["cache"] == f"ok: valkey:localhost:{front.port} takes this client"
    functions = [
        f"{line.verdict} {line.told.partition(';')[0]}"
        for line in diagnose(config.load({"store": f"{front.url}+s3://{bucket}/graphlambda/{aws}"}))
        if line.subject == "a function"
    ]
    assert functions == [
        f"ok wrote and read in valkey:localhost:{front.port}",
        f"ok wrote and read in s3://{bucket}/graphlambda/{aws}",
    ]
