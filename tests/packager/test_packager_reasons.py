"""Why a distribution is packed, and what an explanation says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graphlambda.compiler.program import Operation
from graphlambda.packager import Artifact, Target, build, read_installed
from graphlambda.packager.absence import FOLDERS
from graphlambda.packager.cache import Cache
from graphlambda.packager.contents import contents_of
from graphlambda.packager.explanation import explained
from graphlambda.packager.memory import learn
from graphlambda.packager.reasons import Inquiry, Reason, reasons_of
from graphlambda.testing.distributions import install, operation_of
from graphlambda.testing.programs import program_of

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = (
    "import acme.deep\nfrom graphlambda_kernels.chunk import getitem\n\n\ndef operation(p0):\n    return p0\n"
)


@pytest.fixture
def acme(site: Path) -> Path:
    install(
        site,
        "acme",
        {"acme/__init__.py": "", "acme/deep.py": "x = 1\n" * 2000, "acme/tests/__init__.py": ""},
        requires=["base", "unasked; extra == 'more'"],
    )
    install(site, "base", {"base/__init__.py": ""}, requires=["bottom"])
    for name in ("bottom", "later", "named", "unasked"):
        install(site, name, {f"{name}.py": ""})
    return site


def inquiry(
    operation: Operation, site: Path, target: Target, cache: Path, extra: tuple[str, ...] = ()
) -> Inquiry:
    return Inquiry(
        operation=operation,
        program=program_of([("f", 1)], [0]),
        installed=read_installed([str(site)]),
        target=target,
        cache=Cache(cache),
        extra=extra,
    )


def test_each_distribution_has_the_evidence_that_asked_for_it_or_the_chain_that_leads_to_it(
    acme: Path, target: Target, tmp_path: Path
) -> None:
    operation = operation_of("import acme.deep\n", imports=["acme.deep"], value_imports=["base"])
    learn(Cache(tmp_path), operation, ["later"])
    found = reasons_of(inquiry(operation, acme, target, tmp_path, extra=("named>=0.5",)))
    assert found == {
        "acme": (Reason(0, "imports acme.deep", "operation.py:1"),),
        "base": (Reason(1, "un-pickles base of its inputs"),),
        "bottom": (Reason(4, "required: base → bottom"),),
        "later": (Reason(3, "later was missing when it was proved or run"),),
        "named": (Reason(0, "named in requirements= as named>=0.5"),),
    }


def test_rules_give_their_reason(site: Path, target: Target, tmp_path: Path) -> None:
    install(site, "dask", {"dask/__init__.py": "", "dask/array/__init__.py": "", "dask/array/stats.py": ""})
    install(site, "scipy", {"scipy/__init__.py": ""})
    operation = operation_of("import dask.array.stats\n", imports=["dask.array.stats"])
    found = reasons_of(inquiry(operation, site, target, tmp_path))
    assert found["scipy"] == (Reason(2, "dask.array.stats needs it: imported when called", "operation.py:1"),)


def test_words_give_their_reason(site: Path, target: Target, tmp_path: Path) -> None:
    install(site, "pandas", {"pandas/__init__.py": ""})
    install(site, "openpyxl", {"openpyxl/__init__.py": ""})
    operation = operation_of("import pandas\n", imports=["pandas"])
    said = Operation(
        id=operation.id, name="read", source=operation.source, ports=1, imports=("pandas",), words=(".xlsx",)
    )
    found = reasons_of(inquiry(said, site, target, tmp_path))
    assert found["openpyxl"] == (Reason(2, "the word '.xlsx': an engine by name or suffix"),)


@pytest.fixture
def built(acme: Path, target: Target, cache: Path, runtime: Path) -> Artifact:
    operation = operation_of(
        "import acme.deep\n\n\ndef operation(p0):\n    return p0\n", imports=["acme.deep"]
    )
    (artifact,) = build(
        [operation], target, cache=cache, runtime=runtime, installed=read_installed([str(acme)])
    )
    return artifact


def test_the_contents_of_an_artifact_add_up_to_its_layers(built: Artifact) -> None:
    shares = {share.requirement.distribution: share for share in contents_of(built)}
    assert list(shares) == ["acme", "base", "bottom"]
    assert sum(share.size_bytes for share in shares.values()) == sum(each.size_bytes for each in built.layers)
    assert shares["acme"].size_bytes > len("x = 1\n") * 2000 > shares["base"].size_bytes
    assert 0 < shares["acme"].zip_bytes < shares["acme"].size_bytes
    assert {share.layer for share in shares.values()} == {built.layers[0].name}
    assert {name: dict(share.left_out) for name, share in shares.items()} == {
        "acme": {FOLDERS: ("acme/tests",)},
        "base": {},
        "bottom": {},
    }


def test_an_explanation_says_sizes_reasons_layers_limits_kernels_and_what_is_not_there(
    built: Artifact,
) -> None:
    program = program_of([("f", 1)], [0])
    table = program.tables[0]
    operation = operation_of(SOURCE)
    made = type(table)(operation, table.tasks, table.columns)
    whole = type(program)(
        **{name: getattr(program, name) for name in program.__dataclass_fields__} | {"tables": (made,)}
    )
    artifact = type(built)(
        **{name: getattr(built, name) for name in built.__dataclass_fields__} | {"operation": operation.id}
    )
    reasons = {operation.id: {"acme": (Reason(0, "imports acme.deep", "script.py:3 in f"),)}}
    text = str(explained(whole, [artifact], reasons))
    layer = built.layers[0].name
    for line in (
        "1 operations for Python",
        f"sample  {operation.id[:12]}  1 tasks",
        "unzipped of 262.1 MB (0%); each zip within the 52.4 MB of a direct upload",
        "level default: as installed, less what nobody needs; proof: imported where nothing else can be seen",
        "NumPy alone instead of dask.array: getitem",
        f"acme==1.0  in {layer}",
        "imports acme.deep (script.py:3 in f)",
        "its own code and our runtime",
        f"acme/tests: {FOLDERS}",
    ):
        assert line in text, line
