"""What the account should hold: names, identities, configurations."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphlambda.deployer import Settings, function_specs, layer_specs
from graphlambda.deployer.functions import Configuration, FunctionSpec, LayerSpec
from graphlambda.deployer.specs import configuration, environment, function_name, identity
from graphlambda.errors import DeployError
from graphlambda.testing.artifacts import TARGET, make_artifact, make_layer
from graphlambda.testing.clouds import ROLE

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = Settings(memory_mb=2048, timeout_s=300, ephemeral_mb=512, role=ROLE)
DIGEST = "0123456789abcdef" * 4


@given(name=st.text(max_size=80), deployment=st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True))
def test_every_function_name_is_one_that_lambda_takes(name: str, deployment: str) -> None:
    named = function_name(deployment, name, DIGEST)
    assert re.fullmatch(r"gl-[a-z0-9]{1,8}-[a-z0-9-]+-[0-9a-f]{20}", named)
    assert len(named) <= 64
    assert "--" not in named


def test_a_long_operation_name_is_cut_and_the_digits_stay() -> None:
    named = function_name("deadbeef", "sum-of-the-products-of-all-chunks-in-a-row", DIGEST)
    assert named == "gl-deadbeef-sum-of-the-products-of-all-chun-0123456789abcdef0123"
    assert len(named) == 64


def test_an_artifact_becomes_one_function_with_its_layers_in_mount_order(tmp_path: Path) -> None:
    layers = (make_layer(tmp_path, "zlib"), make_layer(tmp_path, "array"))
    artifact = make_artifact(tmp_path, "mean-chunk", layers)
    (spec,) = function_specs([artifact], SETTINGS, "local")
    assert spec == FunctionSpec(
        name=f"gl-local-mean-chunk-{identity(artifact, SETTINGS)[:20]}",
        deployment="local",
        operation=artifact.operation,
        zip_path=artifact.zip_path,
        zip_bytes=artifact.zip_bytes,
        handler="graphlambda_runtime.handler.handler",
        python=TARGET.python,
        architecture="x86_64",
        layers=tuple(layer.name.replace("gl-", "gl-local-") for layer in layers),
        settings=SETTINGS,
        description="packed default: 0.0 MB in 2 layers and its own",
    )


def test_a_function_that_unpacks_gets_more_of_tmp_so_that_its_tasks_keep_what_they_were_promised(
    tmp_path: Path,
) -> None:
    artifact = replace(make_artifact(tmp_path, "fit"), level="archive", tmp_mb=700)
    asked = replace(SETTINGS, ephemeral_mb=1024)
    (spec,) = function_specs([artifact], asked, "local")
    (most,) = function_specs([artifact], replace(SETTINGS, ephemeral_mb=10_000), "local")
    assert spec.settings == replace(asked, ephemeral_mb=1724)
    assert spec.description == "packed archive: 0.0 MB in 0 layers and its own, unpacks 700 MiB to /tmp"
    assert most.settings.ephemeral_mb == 10_240


def test_a_layer_that_many_artifacts_share_is_wanted_once(tmp_path: Path) -> None:
    shared, other = make_layer(tmp_path, "numpy"), make_layer(tmp_path, "arrow")
    artifacts = [
        make_artifact(tmp_path, "a", (shared,)),
        make_artifact(tmp_path, "b", (shared, other)),
        make_artifact(tmp_path, "c"),
    ]
    assert layer_specs(artifacts, "local") == tuple(
        LayerSpec(
            name=layer.name.replace("gl-", "gl-local-"),
            digest=layer.digest,
            zip_path=layer.zip_path,
            zip_bytes=layer.zip_bytes,
            python=TARGET.python,
            architecture="x86_64",
        )
        for layer in (other, shared)
    )


@pytest.mark.parametrize(
    "settings",
    [
        replace(SETTINGS, memory_mb=2049),
        replace(SETTINGS, timeout_s=301),
        replace(SETTINGS, ephemeral_mb=513),
        replace(SETTINGS, role=f"{ROLE}-2"),
        replace(SETTINGS, subnets=("subnet-1",), security_groups=("sg-1",)),
        replace(SETTINGS, variables=(("A_MODE", "b"),)),
        replace(SETTINGS, secrets=(("KEY", "arn:aws:ssm:eu-west-1:123456789012:parameter/key"),)),
        replace(SETTINGS, snap_start=True),
    ],
    ids=["memory", "timeout", "ephemeral", "role", "vpc", "variables", "secrets", "snap-start"],
)
def test_each_setting_is_a_part_of_the_identity(tmp_path: Path, settings: Settings) -> None:
    artifact = make_artifact(tmp_path, "a")
    assert identity(artifact, settings) != identity(artifact, SETTINGS)


def test_content_is_a_part_of_the_identity_and_where_the_zip_lies_is_not(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path, "a")
    same = {identity(artifact, SETTINGS), identity(replace(artifact, zip_path=tmp_path / "b.zip"), SETTINGS)}
    assert len(same) == 1
    assert identity(replace(artifact, digest="f" * 64), SETTINGS) not in same
    assert identity(replace(artifact, operation="f" * 64), SETTINGS) not in same


def test_the_name_is_the_same_in_every_interpreter(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path, "mean")
    (here,) = function_specs([artifact], SETTINGS, "local")
    code = (
        "import sys, pathlib\n"
        "from graphlambda.deployer import Settings, function_specs\n"
        "from graphlambda.testing.artifacts import make_artifact\n"
        f"settings = Settings(memory_mb=2048, timeout_s=300, ephemeral_mb=512, role={ROLE!r})\n"
        "artifact = make_artifact(pathlib.Path(sys.argv[1]), 'mean')\n"
        "print(function_specs([artifact], settings, 'local')[0].name)"
    )
    names = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1", "2")
    }
    assert names == {here.name}


@pytest.mark.parametrize(
    ("memory_mb", "threads"),
    [(128, "1"), (1769, "1"), (2653, "1"), (2654, "2"), (3538, "2"), (8845, "5"), (10_240, "6")],
)
def test_thread_pools_follow_the_vcpus_that_memory_buys(memory_mb: int, threads: str) -> None:
    assert environment(replace(SETTINGS, memory_mb=memory_mb)) == (
        ("BLIS_NUM_THREADS", threads),
        ("MKL_NUM_THREADS", threads),
        ("NUMBA_NUM_THREADS", threads),
        ("NUMEXPR_NUM_THREADS", threads),
        ("OMP_NUM_THREADS", threads),
        ("OPENBLAS_NUM_THREADS", threads),
        ("POLARS_MAX_THREADS", threads),
        ("PYTHONHASHSEED", "6640"),
        ("RAYON_NUM_THREADS", threads),
    )


def test_a_function_has_the_variables_that_it_was_given_and_of_secrets_their_arns_alone() -> None:
    arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/key"
    given = replace(SETTINGS, variables=(("OMP_NUM_THREADS", "7"), ("A_MODE", "b")), secrets=(("KEY", arn),))
    assert set(environment(given)) - set(environment(SETTINGS)) == {
        ("A_MODE", "b"),
        ("GRAPHLAMBDA_SECRETS", f'{{"KEY": "{arn}"}}'),
        ("OMP_NUM_THREADS", "7"),
    }


def test_of_an_operation_with_settings_of_its_own_the_function_has_those(tmp_path: Path) -> None:
    artifacts = [make_artifact(tmp_path, "a"), make_artifact(tmp_path, "b")]
    own = replace(SETTINGS, memory_mb=4096, snap_start=True)
    first, second = function_specs(artifacts, SETTINGS, "local", {artifacts[1].operation: own})
    assert (first.settings, first.invoked) == (SETTINGS, first.name)
    assert (second.settings, second.invoked) == (own, f"{second.name}:1")


def test_how_many_may_run_or_wait_is_no_part_of_what_a_function_is(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path, "a")
    assert identity(artifact, replace(SETTINGS, reserved=7)) == identity(artifact, SETTINGS)
    waiting = {identity(artifact, replace(SETTINGS, provisioned=count)) for count in (1, 2)}
    assert len(waiting - {identity(artifact, SETTINGS)}) == 1


def test_a_function_that_unpacks_starts_from_no_snapshot(tmp_path: Path) -> None:
    artifact = replace(make_artifact(tmp_path, "fit"), level="archive", tmp_mb=700)
    with pytest.raises(DeployError, match="needs 1212 MiB of /tmp, of which 700 for distributions"):
        function_specs([artifact], replace(SETTINGS, snap_start=True), "local")


def test_the_configuration_says_all_that_lambda_must_report(tmp_path: Path) -> None:
    layer = make_layer(tmp_path, "numpy")
    (spec,) = function_specs([make_artifact(tmp_path, "a", (layer,))], SETTINGS, "local")
    assert configuration(spec, "c2hh") == Configuration(
        code_sha256="c2hh",
        role=ROLE,
        runtime=f"python{TARGET.python}",
        handler="graphlambda_runtime.handler.handler",
        architecture="x86_64",
        memory_mb=2048,
        timeout_s=300,
        ephemeral_mb=512,
        environment=environment(SETTINGS),
        layers=(layer.name.replace("gl-", "gl-local-"),),
    )
