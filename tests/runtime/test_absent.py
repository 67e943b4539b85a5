"""What was left out of a function says so by name, and only to those who import it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.testing.bare import OPERATION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphlambda.testing.bare import BareFunction, Requests

    Start = Callable[..., BareFunction]

MANIFEST = {
    "left_out": {
        "acme": {
            "it needs a compiler": ["acme/build", "acme/quick.cpython-311-x86_64-linux-gnu.so"],
            "tests": ["acme/tests"],
            "only compilers read them": ["*.h"],
        }
    }
}


@pytest.fixture
def acme(function: Start, requests: Requests, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Run a body in a function that holds a distribution of which parts were left out; return the outcome."""
    (tmp_path / "layer" / "acme").mkdir(parents=True)
    (tmp_path / "layer" / "acme" / "__init__.py").touch()

    def run(body: str) -> dict[str, Any]:
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        started = function(
            f"def operation():\n{lines}",
            files={"manifest.json": json.dumps({"operation": OPERATION, **MANIFEST})},
            layers=[tmp_path / "layer"],
        )
        (outcome,) = started(requests.request([]))["outcomes"]
        if "error" not in outcome:
            outcome["result"] = requests.decode(outcome["value"], "v-0")
        return outcome  # type: ignore[no-any-return]

    return run


@pytest.mark.parametrize(
    ("statement", "module"),
    [
        ("import acme.build", "acme.build"),
        ("import acme.build.deep", "acme.build"),
        ("import acme.quick", "acme.quick"),
        ("from acme.build import deep", "acme.build"),
        ("from acme import build", "acme.build"),
    ],
)
def test_importing_what_was_left_out_is_a_missing_module(
    acme: Callable[[str], dict[str, Any]], statement: str, module: str
) -> None:
    error = acme(statement)["error"]
    assert (error["kind"], error["module"]) == ("missing_module", module)


def test_the_message_names_the_module_the_reason_and_the_remedy(
    acme: Callable[[str], dict[str, Any]],
) -> None:
    assert acme("import acme.build")["error"]["message"] == (
        "acme.build was left out of this function (it needs a compiler). "
        "Import it in the task's own code, and the function is built with it."
    )


def test_what_never_was_there_is_missing_as_ever(acme: Callable[[str], dict[str, Any]]) -> None:
    messages = [acme(f"import {name}")["error"]["message"] for name in ("absent", "acme.absent")]
    assert messages == ["No module named 'absent'", "No module named 'acme.absent'"]


def test_optional_imports_find_it_simply_absent(acme: Callable[[str], dict[str, Any]]) -> None:
    body = (
        "import importlib.util\n"
        "found = [importlib.util.find_spec('acme.build'), hasattr(__import__('acme'), 'build')]\n"
        "try:\n    import acme.tests\nexcept ImportError as error:\n    found.append(type(error).__name__)\n"
        "try:\n    from acme import build\nexcept ImportError:\n    found.append('no build')\n"
        "return found"
    )
    assert acme(body)["result"] == [None, False, "ModuleNotFoundError", "no build"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("acme/build/data.txt", "It was left out of the function: it needs a compiler."),
        ("acme/acme.h", "It was left out of the function: only compilers read them."),
        ("acme/absent.txt", None),
    ],
)
def test_a_file_that_was_left_out_says_so(
    acme: Callable[[str], dict[str, Any]], name: str, why: str | None
) -> None:
    error = acme(f"import acme\nopen(acme.__file__[: -len('acme/__init__.py')] + {name!r})")["error"]
    assert (error["kind"], error.get("left_out")) == ("missing_path", why)


def test_a_function_without_a_manifest_misses_modules_as_ever(function: Start, requests: Requests) -> None:
    (outcome,) = function("import absent\n")(requests.request([]))["outcomes"]
    assert outcome["error"]["message"] == "No module named 'absent'"


def test_nothing_is_read_while_nothing_is_missing(acme: Callable[[str], dict[str, Any]]) -> None:
    body = "import acme, sys\nreturn sys.meta_path[-1]._reasons is None, type(sys.meta_path[-1]).__name__"
    assert acme(body)["result"] == (True, "Absent")
