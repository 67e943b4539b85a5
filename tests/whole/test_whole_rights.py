"""Whoever deploys, whoever only runs, and functions get by on their policies: all that they ask is granted.

The policies are those that we generate, held against each request before moto's services and the local Lambda answer it.
"""

from __future__ import annotations

import json
import secrets
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest

import graphlambda
from graphlambda.account import policies
from graphlambda.account.choices import Choices
from graphlambda.api import account
from graphlambda.cli import main
from graphlambda.deployer.aws import aws_cloud
from graphlambda.deployer.names import Names
from graphlambda.errors import DeployError
from graphlambda.local import LocalSettings, start
from tests.account.applying import by_cloudformation
from tests.account.guard import ADMINISTRATOR, Asked, Guard, granted, guarded
from tests.whole.test_whole_aws import ACCOUNT, REGION, array, init

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from graphlambda.local import LocalLambda

FUNCTIONS_KEY = "AKIDOFAFUNCTION"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalLambda]:
    with start(LocalSettings(state=tmp_path_factory.mktemp("lambda"), concurrency=8)) as running:
        running.set_identity({"AWS_ACCESS_KEY_ID": FUNCTIONS_KEY, "AWS_SECRET_ACCESS_KEY": "theirs"})
        yield running


@pytest.fixture
def guard(local: LocalLambda, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    """Return what guards a deployment of this test's own, which an administrator has set up."""
    names = Names(deployment=secrets.token_hex(4), account=ACCOUNT, region=REGION)
    found = Guard(names, FUNCTIONS_KEY, function=policies.function(names, Choices()))
    with guarded(found) as url:
        for name, value in {
            "AWS_ACCESS_KEY_ID": local.credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": local.credentials.secret_key,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": url,
            "AWS_ENDPOINT_URL_LAMBDA": local.endpoint,
            "GRAPHLAMBDA_ENDPOINT": "aws",
            "GRAPHLAMBDA_DEPLOYMENT_ID": names.deployment,
        }.items():
            monkeypatch.setenv(name, value)
        init(names.deployment, secrets.token_bytes(32), RoleArn=names.role_arn)
        yield found
        account.forget()


@pytest.fixture
def become(guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what has all that comes asked by somebody else, whose machine knows of nothing that was made or run."""
    documents = {
        "administrator": ADMINISTRATOR,
        "deployer": policies.deployer(guard.names, Choices()),
        "runner": policies.runner(guard.names, Choices()),
    }

    def somebody(who: str) -> None:
        guard.client = documents[who]
        guard.refused.clear()
        monkeypatch.setenv("GRAPHLAMBDA_STATE_DIR", str(tmp_path / who))
        account.forget()

    return somebody


def test_who_deploys_who_only_runs_and_functions_ask_for_nothing_that_is_not_granted(
    guard: Guard, become: Callable[[str], None], tmp_path: Path
) -> None:
    become("deployer")
    graphlambda.compile(array()).save(tmp_path / "program")
    program = graphlambda.load_program(tmp_path / "program")
    deployment = graphlambda.deploy(program)
    assert graphlambda.run(program, deployment, inline_bytes=0) == (1560,)
    assert guard.refused == set()
    assert main(["aws", "status"]) == 0
    assert guard.refused == {
        Asked("logs:DescribeLogGroups", "*")
    }  # how large the log is, is not for all to know

    become("runner")
    program = graphlambda.load_program(tmp_path / "program")
    found = graphlambda.deploy(program)
    assert found.created == ()
    assert graphlambda.run(program, found, inline_bytes=0, content_cache=True) == (1560,)
    assert graphlambda.runs() == []
    invoked = {
        Asked("lambda:InvokeFunction", guard.names.function_arn(name)) for name in found.functions.values()
    }
    assert all(granted(guard.client, each) for each in invoked)
    assert guard.refused == set()

    become("deployer")
    assert main(["aws", "sweep", "--older-than", "0", "--yes"]) == 0
    assert guard.refused == set()


def test_who_only_runs_runs_what_was_exported_and_applied_by_other_means_though_no_manifest_names_it(
    guard: Guard, become: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHLAMBDA_OPERATIONS", json.dumps({"*": {"provisioned_concurrency": 1}}))
    become("administrator")
    program = graphlambda.compile(array())
    program.save(tmp_path / "program")
    made = tmp_path / "made"
    assert main(["export", "--format", "cloudformation", "--to", str(made), str(tmp_path / "program")]) == 0
    template = json.loads((made / "template.json").read_text())
    by_cloudformation(template, made / "artifacts", aws_cloud(REGION))

    become("runner")
    guard.client = template["Resources"]["RunnerPolicy"]["Properties"]["PolicyDocument"]
    assert graphlambda.run(program, graphlambda.deploy(program)) == (1560,)
    manifests = guard.names.objects_arn("manifests")
    assert guard.refused
    assert all(
        each.action == "s3:PutObject" and fnmatchcase(each.resource, manifests) for each in guard.refused
    )

    become("deployer")
    graphlambda.deploy(program)
    become("runner")
    graphlambda.deploy(program)
    assert guard.refused == set()


def test_who_only_runs_is_told_who_makes_what_is_not_there(
    guard: Guard, become: Callable[[str], None]
) -> None:
    become("runner")
    with pytest.raises(
        DeployError, match=r"list_layer_versions .* AccessDenied.*graphlambda deploy.*fuse=False"
    ):
        graphlambda.compute(array())
