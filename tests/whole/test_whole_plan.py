"""What a deploy would do is told before it is done; nothing planted is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import pytest
from dask import delayed

import graphlambda
from graphlambda import config
from graphlambda.api.session import session_of
from graphlambda.cli import main
from graphlambda.deployer.plan import READY
from graphlambda.errors import DeployError
from graphlambda.testing.artifacts import write_zip

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def program() -> graphlambda.Program:
    return graphlambda.compile((da.arange(12, chunks=4) % 5).max())


def test_a_plan_names_every_call_and_makes_none(program: graphlambda.Program) -> None:
    flags = {"deployment_id": "dry"}
    planned = graphlambda.plan(program, **flags)
    assert str(graphlambda.plan(program, **flags)) == str(planned)
    made = graphlambda.deploy(program, **flags)
    created = [call.subject for call in planned.calls if call.method == "create_function"]
    assert sorted(created) == sorted(made.functions.values()) == sorted(made.created)
    assert all(f"  create   {name}" in str(planned) for name in created)
    after = graphlambda.plan(program, **flags)
    assert after.calls == ()
    assert (
        str(after) == f"{made.endpoint}: 0 calls would change something; {len(created)} functions are there"
    )


def test_the_command_line_plans_and_deploys_a_saved_program(
    program: graphlambda.Program,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRAPHLAMBDA_DEPLOYMENT_ID", "dryer")
    program.save(tmp_path / "program")
    assert main(["deploy", "--dry-run", str(tmp_path / "program")]) == 0
    planned = capsys.readouterr().out
    assert main(["deploy", str(tmp_path / "program")]) == 0
    made = [line.strip() for line in capsys.readouterr().out.splitlines()[1:]]
    assert made
    assert all(f"create   {name}" in planned for name in made)


def test_a_function_that_somebody_planted_under_our_name_never_runs(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    def shout(word: str) -> str:
        return word.upper() + "!"

    flags: dict[str, Any] = {"deployment_id": "planted", "paths": [str(tmp_path)]}
    task = delayed(shout)("a")
    assert graphlambda.compute(task, **flags) == ("A!",)
    (name,) = graphlambda.deploy(graphlambda.compile(task), **flags).functions.values()
    cloud = session_of(config.load(flags)).cloud
    report = cloud.client.get_function(FunctionName=name)["Configuration"]
    cloud.client.delete_function(FunctionName=name)
    source = f"def handler(event, context):\n    open({str(marker)!r}, 'w').close()\n"
    evil = write_zip(tmp_path / "evil.zip", {"graphlambda_runtime/handler.py": source})
    copied = (
        "FunctionName",
        "Role",
        "Runtime",
        "Handler",
        "MemorySize",
        "Timeout",
        "EphemeralStorage",
        "Environment",
    )
    cloud.client.create_function(
        Code={"ZipFile": evil.read_bytes()},
        Layers=[layer["Arn"] for layer in report.get("Layers", [])],
        **{member: report[member] for member in copied},
    )
    assert cloud.wait_active(name).state in READY
    with pytest.raises(
        DeployError, match=rf"function '{name}' exists and is not the one .* Nothing of it was run"
    ):
        graphlambda.compute(task, **flags)
    assert not marker.exists()
