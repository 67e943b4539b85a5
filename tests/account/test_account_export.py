"""What is exported is what a deploy would make: applied by other means, it leaves a deploy nothing to do."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from cfnlint.api import ManualArgs, lint

from graphlambda.account.export import CLOUDFORMATION, MOST_RESOURCES, TERRAFORM, Wanted, exported
from graphlambda.account.policies import POLICY_BYTES, runner
from graphlambda.deployer import Settings, deploy, function_specs, layer_specs, plan
from graphlambda.deployer.functions import Call, Deployed, Shelved
from graphlambda.errors import ConfigError
from graphlambda.testing.artifacts import make_three
from graphlambda.testing.clouds import RecordingCloud, manifests_in
from tests.account.applying import by_cloudformation, by_terraform
from tests.account.cases import FULL, NAMES, PLAIN, REGION, VPC

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphlambda.deployer.cloud import Cloud
    from graphlambda.packager.artifact import Artifact

Applied: TypeAlias = "Callable[[dict[str, Any], Path, Cloud], None]"

SETTINGS = Settings(memory_mb=2048, timeout_s=300, ephemeral_mb=512, role=NAMES.role_arn)
RICH = replace(
    SETTINGS,
    subnets=VPC.subnets,
    security_groups=("sg-0123456789abcdef0",),
    variables=(("GREETING", "hello"),),
    reserved=7,
    provisioned=3,
)
SNAPPED = replace(SETTINGS, snap_start=True)
PREFIX = f"{NAMES.prefix}/artifacts/"


@pytest.fixture
def artifacts(tmp_path: Path) -> list[Artifact]:
    return make_three(tmp_path)


def wanted_of(artifacts: list[Artifact], settings: Settings = SETTINGS) -> Wanted:
    layers = layer_specs(artifacts, NAMES.deployment)
    functions = function_specs(artifacts, settings, NAMES.deployment)
    paths = [*(layer.zip_path for layer in layers), *(spec.zip_path for spec in functions)]
    return Wanted(
        deployment=NAMES.deployment,
        region=REGION,
        calls=plan(layers, functions, Deployed(functions={}, layers={})),
        zips={path: key_of(path) for path in paths},
        bucket=NAMES.bucket,
        prefix=PREFIX,
        reserved={spec.name: 7 for spec in functions if settings.reserved},
        provisioned={spec.name: 3 for spec in functions if settings.provisioned},
        policy_name="graphlambda-runner",
        policy=runner(NAMES, PLAIN, [spec.name for spec in functions]),
    )


def key_of(path: Path) -> str:
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}.zip"


@pytest.mark.parametrize("settings", [SETTINGS, RICH, SNAPPED], ids=["plain", "rich", "snapped"])
@pytest.mark.parametrize(
    ("kind", "applied"),
    [(CLOUDFORMATION, by_cloudformation), (TERRAFORM, by_terraform)],
    ids=[CLOUDFORMATION, TERRAFORM],
)
def test_after_it_was_applied_by_other_means_a_deploy_makes_no_mutating_call(
    kind: str, applied: Applied, settings: Settings, artifacts: list[Artifact], tmp_path: Path
) -> None:
    wanted, cloud = wanted_of(artifacts, settings), RecordingCloud()
    folder = tmp_path / "artifacts"
    folder.mkdir()
    for path, key in wanted.zips.items():
        (folder / key).write_bytes(path.read_bytes())
    applied(json.loads(json.dumps(exported(wanted, kind))), folder, cloud)
    cloud.changes.clear()
    made = deploy(
        artifacts,
        settings,
        cloud=cloud,
        deployment_id=NAMES.deployment,
        manifests=manifests_in(tmp_path / "manifests", deployment=NAMES.deployment),
    )
    assert (cloud.changes, made.created) == ([], ())
    invoked = {name.partition(":")[0] for name in made.functions.values()}
    assert invoked == set(cloud.functions)


def test_cfn_lint_finds_nothing(artifacts: list[Artifact]) -> None:
    newer = [replace(each, target=replace(each.target, python="3.13")) for each in artifacts]
    for settings in (SETTINGS, RICH, SNAPPED):  # snapshots are for Python 3.12 and later
        template = exported(wanted_of(newer, settings), CLOUDFORMATION)
        found = lint(json.dumps(template), config=ManualArgs(regions=[REGION]))
        assert [str(each) for each in found] == []


def test_one_program_is_exported_to_the_same_bytes(artifacts: list[Artifact]) -> None:
    for kind in (CLOUDFORMATION, TERRAFORM):
        first, second = (json.dumps(exported(wanted_of(artifacts), kind)) for _ in range(2))
        assert first == second


def test_zips_that_no_request_carries_go_through_the_bucket_in_terraform_too(
    artifacts: list[Artifact],
) -> None:
    wanted = wanted_of(artifacts[2:])
    (call,) = wanted.calls
    large = Call(call.method, {**call.params, "Code": Shelved(call.params["Code"]["ZipFile"])})
    found = exported(replace(wanted, calls=(large,)), TERRAFORM)["resource"]
    ((name, shelved),) = found["aws_s3_object"].items()
    (function,) = found["aws_lambda_function"].values()
    key, _ = wanted.zip_of(large)
    assert shelved == {
        "bucket": NAMES.bucket,
        "key": PREFIX + key,
        "source": f"${{path.module}}/artifacts/{key}",
    }
    assert (function["s3_key"], function["source_code_hash"]) == (
        f"${{aws_s3_object.{name}.key}}",
        base64.b64encode(hashlib.sha256(artifacts[2].zip_path.read_bytes()).digest()).decode(),
    )
    assert "filename" not in function


def test_terraform_finds_no_expression_in_what_is_text(artifacts: list[Artifact]) -> None:
    wanted = wanted_of(artifacts[2:])
    (call,) = wanted.calls
    variables = {"Environment": {"Variables": {"GREETING": "${who} is %{here}"}}, "Description": "${a}"}
    odd = replace(wanted, calls=(Call(call.method, {**call.params, **variables}),))
    (function,) = exported(odd, TERRAFORM)["resource"]["aws_lambda_function"].values()
    assert function["environment"] == [{"variables": {"GREETING": "$${who} is %%{here}"}}]
    assert function["description"] == "$${a}"


def test_names_in_documents_are_what_each_language_takes_and_no_two_alike(artifacts: list[Artifact]) -> None:
    wanted = wanted_of(artifacts)
    logical = exported(wanted, CLOUDFORMATION)["Resources"]
    local = exported(wanted, TERRAFORM)["resource"]
    assert all(re.fullmatch(r"[A-Za-z0-9]{1,255}", name) for name in logical)
    assert len(logical) == len(wanted.calls) + 1
    names = [name for kind in local.values() for name in kind]
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name) for name in names)
    assert len(names) == len(wanted.calls) + 1


def test_more_than_cloudformation_takes_is_refused_with_the_remedy(artifacts: list[Artifact]) -> None:
    wanted = wanted_of(artifacts[2:])
    (call,) = wanted.calls
    many = [
        Call(call.method, {**call.params, "FunctionName": f"gl-z-many-{number}"})
        for number in range(MOST_RESOURCES)
    ]
    with pytest.raises(
        ConfigError, match=r"501 functions, layers and policies, .* 500 in a template: .*terraform-json"
    ):
        exported(replace(wanted, calls=many), CLOUDFORMATION)


def test_the_policy_names_the_programs_functions_as_far_as_a_policy_can() -> None:
    some = [f"gl-{NAMES.deployment}-sum-{number:020x}" for number in range(3)]
    few = runner(NAMES, FULL, some)
    run = next(each for each in few["Statement"] if each["Sid"] == "Run")
    assert run["Resource"] == [NAMES.function_arn(name) for name in some]
    many = runner(NAMES, FULL, [f"gl-{NAMES.deployment}-sum-{number:020x}" for number in range(200)])
    assert many == runner(NAMES, FULL)
    assert max(len(json.dumps(each, separators=(",", ":"))) for each in (few, many)) <= POLICY_BYTES
