"""The calls that would make the account hold what we want: pure, so whole plans are compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphlambda.deployer import Settings, deploy, function_specs, intended, layer_specs, plan
from graphlambda.deployer.functions import (
    Call,
    Deployed,
    DeployedFunction,
    DeployedLayer,
    FunctionSpec,
    LayerSpec,
    Ref,
    Shelved,
)
from graphlambda.deployer.plan import INLINE_BYTES, STUCK_S, disagreements
from graphlambda.deployer.specs import POOLS, configuration
from graphlambda.testing.artifacts import TARGET, make_artifact, make_layer
from graphlambda.testing.clouds import ROLE, RecordingCloud, manifests_in
from graphlambda.testing.requests import breaches

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = Settings(memory_mb=2048, timeout_s=300, ephemeral_mb=512, role=ROLE)
NOTHING = Deployed(functions={}, layers={})


@pytest.fixture
def layer(tmp_path: Path) -> LayerSpec:
    (spec,) = layer_specs([make_artifact(tmp_path, "any", (make_layer(tmp_path, "numpy"),))], "local")
    return spec


@pytest.fixture
def function(tmp_path: Path) -> FunctionSpec:
    (spec,) = function_specs(
        [make_artifact(tmp_path, "mean", (make_layer(tmp_path, "numpy"),))], SETTINGS, "local"
    )
    return spec


def deployed(spec: FunctionSpec, state: str = "Active") -> DeployedFunction:
    return DeployedFunction(
        arn=f"arn:aws:lambda:us-east-1:123456789012:function:{spec.name}",
        state=state,
        reason="",
        configuration=configuration(spec, "c2hh"),
    )


def test_an_empty_account_gets_the_layer_and_then_the_function_in_one_call_each(
    layer: LayerSpec, function: FunctionSpec
) -> None:
    assert plan([layer], [function], NOTHING) == (
        Call(
            "publish_layer_version",
            {
                "LayerName": layer.name,
                "Description": layer.digest,
                "Content": {"ZipFile": layer.zip_path},
                "CompatibleRuntimes": [f"python{TARGET.python}"],
                "CompatibleArchitectures": ["x86_64"],
            },
        ),
        Call(
            "create_function",
            {
                "FunctionName": function.name,
                "Role": ROLE,
                "Runtime": f"python{TARGET.python}",
                "Handler": "graphlambda_runtime.handler.handler",
                "Description": "packed default: 0.0 MB in 1 layers and its own",
                "Architectures": ["x86_64"],
                "Code": {"ZipFile": function.zip_path},
                "Layers": [Ref(layer.name)],
                "MemorySize": 2048,
                "Timeout": 300,
                "EphemeralStorage": {"Size": 512},
                "Environment": {"Variables": {**dict.fromkeys(POOLS, "1"), "PYTHONHASHSEED": "6640"}},
                "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/graphlambda/local"},
                "Tags": {"graphlambda": "local", "graphlambda-operation": function.operation},
            },
        ),
    )


@pytest.mark.parametrize(
    ("given", "params"),
    [
        (
            {"subnets": ("subnet-1",), "security_groups": ("sg-1",)},
            {"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}},
        ),
        ({"snap_start": True}, {"Publish": True, "SnapStart": {"ApplyOn": "PublishedVersions"}}),
        ({"provisioned": 3}, {"Publish": True}),
        ({"reserved": 3}, {}),
    ],
)
def test_what_decides_how_a_function_behaves_is_said_when_it_is_made(
    function: FunctionSpec, given: dict[str, Any], params: dict[str, Any]
) -> None:
    (plain,) = plan([], [replace(function, layers=())], NOTHING)
    (call,) = plan([], [replace(function, layers=(), settings=replace(SETTINGS, **given))], NOTHING)
    assert call.params == {**plain.params, **params}


@pytest.mark.parametrize("state", ["Active", "Inactive", "Pending"])
def test_nothing_is_asked_for_what_exists(layer: LayerSpec, function: FunctionSpec, state: str) -> None:
    there = Deployed(functions={function.name: deployed(function, state)}, layers={})
    assert plan([layer], [function], there) == ()


def test_a_function_that_failed_is_deleted_and_made_again(layer: LayerSpec, function: FunctionSpec) -> None:
    there = Deployed(
        functions={function.name: deployed(function, "Failed")},
        layers={layer.name: DeployedLayer("arn:layer:1", layer.digest, "c2hh")},
    )
    calls = plan([layer], [function], there)
    assert [(call.method, call.subject) for call in calls] == [
        ("delete_function", function.name),
        ("create_function", function.name),
    ]
    assert calls[1].params["Layers"] == ["arn:layer:1"]


def test_a_layer_is_published_only_for_a_function_that_will_be_made(
    tmp_path: Path, layer: LayerSpec, function: FunctionSpec
) -> None:
    bare = make_artifact(tmp_path, "bare")
    (other,) = function_specs([bare], SETTINGS, "local")
    there = Deployed(functions={function.name: deployed(function)}, layers={})
    calls = plan([layer], [function, other], there)
    assert [(call.method, call.subject) for call in calls] == [("create_function", other.name)]


def test_a_layer_under_our_name_with_another_digest_is_not_used(
    layer: LayerSpec, function: FunctionSpec
) -> None:
    planted = Deployed(functions={}, layers={layer.name: DeployedLayer("arn:planted:1", "", "c2hh")})
    calls = plan([layer], [function], planted)
    assert [call.method for call in calls] == ["publish_layer_version", "create_function"]
    assert calls[1].params["Layers"] == [Ref(layer.name)]


@given(st.lists(st.sampled_from("abcdef"), max_size=8), st.sets(st.sampled_from("abcdef")))
def test_any_plan_publishes_each_layer_once_before_its_functions_and_leaves_the_rest_alone(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[str], present: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("plan")
    layers = {name: make_layer(folder, f"layer{'abcdef'.index(name) % 3}") for name in "abcdef"}
    artifacts = [make_artifact(folder, name, (layers[name],)) for name in wanted]
    functions = function_specs(artifacts, SETTINGS, "local")
    there = {
        spec.name: deployed(spec) for spec, name in zip(functions, wanted, strict=True) if name in present
    }

    calls = plan(layer_specs(artifacts, "local"), functions, Deployed(functions=there, layers={}))

    subjects = [call.subject for call in calls]
    assert len(subjects) == len(set(subjects))
    assert {call.subject for call in calls if call.method == "create_function"} == {
        spec.name for spec in functions
    } - set(there)
    published: set[str] = set()
    for call in calls:
        if call.method == "publish_layer_version":
            published.add(call.subject)
        else:
            assert {ref.layer for ref in call.params["Layers"]} <= published
    assert published == {layer for spec in functions if spec.name not in there for layer in spec.layers}


def test_a_function_that_is_pending_for_very_long_is_deleted_and_made_again(
    layer: LayerSpec, function: FunctionSpec
) -> None:
    stuck = replace(deployed(function, "Pending"), age_s=STUCK_S + 1)
    calls = plan([layer], [function], Deployed(functions={function.name: stuck}, layers={}))
    assert [call.method for call in calls] == [
        "publish_layer_version",
        "delete_function",
        "create_function",
    ]


@pytest.mark.parametrize(("zip_bytes", "through_s3"), [(INLINE_BYTES, False), (INLINE_BYTES + 1, True)])
def test_what_no_request_carries_goes_through_s3(
    layer: LayerSpec, function: FunctionSpec, zip_bytes: int, through_s3: bool
) -> None:
    assert 4 * -(-INLINE_BYTES // 3) + 262_143 == 70_167_211
    calls = plan([replace(layer, zip_bytes=zip_bytes)], [replace(function, zip_bytes=zip_bytes)], NOTHING)
    carried = [calls[0].params["Content"], calls[1].params["Code"]]
    paths = [layer.zip_path, function.zip_path]
    assert carried == [Shelved(path) if through_s3 else {"ZipFile": path} for path in paths]


def test_a_plan_is_told_call_by_call(tmp_path: Path) -> None:
    numpy = make_layer(tmp_path, "numpy")
    artifacts = [make_artifact(tmp_path, "mean", (numpy,)), make_artifact(tmp_path, "sum")]
    cloud = RecordingCloud()
    given: dict[str, Any] = {
        "cloud": cloud, "deployment_id": "local", "manifests": manifests_in(tmp_path / "manifests"),
    }  # fmt: skip
    deploy(artifacts[1:], SETTINGS, **given)
    large = replace(artifacts[0], zip_bytes=60_000_000)
    planned, _ = intended([large, artifacts[1]], SETTINGS, **given)
    told = "2,048 MiB, 300 s, /tmp 512 MiB; packed default: 0.0 MB in 1 layers and its own"
    assert str(planned).splitlines() == [
        "memory: 2 calls would change something; 1 functions are there",
        f"  publish  {planned.calls[0].subject:<64}  0.00 MB",
        f"  create   {planned.calls[1].subject:<64}  60.00 MB through S3  {told}",
    ]
    assert len(cloud.changes) == 1


def test_a_plan_tells_of_concurrency_environments_and_snapshots_and_of_nothing_where_they_are_there(
    tmp_path: Path,
) -> None:
    artifacts = [make_artifact(tmp_path, name) for name in ("mean", "sum")]
    cloud = RecordingCloud()
    given: dict[str, Any] = {
        "cloud": cloud, "deployment_id": "local", "manifests": manifests_in(tmp_path / "manifests"),
    }  # fmt: skip
    own = {
        artifacts[0].operation: replace(SETTINGS, reserved=20, provisioned=3),
        artifacts[1].operation: replace(SETTINGS, snap_start=True),
    }
    planned, _ = intended(artifacts, SETTINGS, own, **given)
    head, *made, reserve, start = str(planned).splitlines()
    assert head == "memory: 4 calls would change something; 0 functions are there"
    assert [line.partition("512 MiB")[2].partition(";")[0] for line in made] == [
        ", version 1",
        ", version 1 with a snapshot",
    ]
    mean = planned.functions[0].name
    assert reserve == f"  reserve  {mean:<64}  20 of the account's concurrency, and no more"
    assert start == f"  start    {mean:<64}  3 environments that wait"
    assert cloud.changes == []
    deploy(artifacts, SETTINGS, own=own, **given)
    assert [call.method for call in cloud.changes[2:]] == [call.method for call in planned.capacity]
    planned, _ = intended(artifacts, SETTINGS, own, **given)
    assert str(planned) == "memory: 0 calls would change something; 2 functions are there"


def test_a_function_without_logs_is_another_that_writes_as_little_as_lambda_allows(
    layer: LayerSpec, function: FunctionSpec
) -> None:
    quiet = replace(function, settings=replace(function.settings, logs=False))
    (_, made) = plan([layer], [quiet], NOTHING)
    levels = {"ApplicationLogLevel": "FATAL", "SystemLogLevel": "WARN"}
    assert made.params["LoggingConfig"] == {"LogFormat": "JSON", **levels, "LogGroup": "/graphlambda/local"}
    model = botocore.session.Session().get_service_model("lambda").operation_model("CreateFunction")
    assert list(breaches(model.input_shape, {**made.params, "Layers": []}, quiet.name)) == []


def test_disagreements_name_each_difference_and_nothing_else(function: FunctionSpec) -> None:
    wanted = configuration(function, "c2hh")
    assert disagreements(wanted, wanted) == ()
    assert disagreements(wanted, replace(wanted, memory_mb=128, layers=("planted",))) == (
        "memory_mb is 128 instead of 2048",
        f"layers is ('planted',) instead of {function.layers!r}",
    )


def test_every_call_fits_lambdas_own_model_patterns_and_enums_included(
    layer: LayerSpec, function: FunctionSpec
) -> None:
    model = botocore.session.Session().get_service_model("lambda")
    placed = replace(SETTINGS, subnets=("subnet-01ab",), security_groups=("sg-01ab",), snap_start=True)
    longest = replace(function, name="g" * 64, settings=placed)
    arn = f"arn:aws:lambda:us-east-1:123456789012:layer:{layer.name}:1"
    there = Deployed(functions={function.name: deployed(function, "Failed")}, layers={})
    operations = {
        "publish_layer_version": "PublishLayerVersion",
        "create_function": "CreateFunction",
        "delete_function": "DeleteFunction",
    }
    calls = plan([layer], [function, longest], there)
    assert {call.method for call in calls} == set(operations)
    for call in calls:
        params = {**call.params} | ({"Layers": [arn]} if "Layers" in call.params else {})
        shape = model.operation_model(operations[call.method]).input_shape
        assert list(breaches(shape, params, call.subject)) == []
