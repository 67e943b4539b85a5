"""What operations need by evidence: how much `deps` asks for, what the user adds, and what differing inputs change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from graphlambda.errors import MissingDistributionError
from graphlambda.packager import Artifact, build, foreseen, read_installed
from graphlambda.packager.cache import Cache
from graphlambda.packager.evidence import provided
from graphlambda.packager.memory import learn, learnt
from graphlambda.testing.distributions import install, operation_of

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.compiler.program import Operation
    from graphlambda.packager import Target

PLAIN = "def operation(p0):\n    return p0\n"


def names(artifact: Artifact) -> list[str]:
    return [each.distribution for each in artifact.requirements]


@pytest.fixture
def made(site: Path, tmp_path: Path, runtime: Path, target: Target) -> object:
    """Builds operations from what is installed in `site`, in a cache of its own."""

    def one(operation: Operation, **options: object) -> Artifact:
        (artifact,) = build(
            [operation],
            target,
            cache=tmp_path / "cache",
            runtime=runtime,
            installed=read_installed([str(site)]),
            **options,  # type: ignore[arg-type]
        )
        return artifact

    return one


SOFT = "try:\n    import fast.inner\nexcept ImportError:\n    fast = None\n"


def test_safe_adds_what_an_import_finds_here_and_exact_what_it_cannot_do_without(
    made: object, site: Path
) -> None:
    install(site, "app", {"app.py": SOFT})
    install(site, "fast", {"fast/__init__.py": "", "fast/inner.py": ""}, requires=["lib"])
    install(site, "lib", {"lib.py": ""})
    install(site, "idle", {"idle.py": ""})
    operation = operation_of("import app\n" + PLAIN, imports=["app"])
    assert names(made(operation)) == ["app"]  # type: ignore[operator]
    assert names(made(operation, safe=True)) == ["app", "fast", "lib"]  # type: ignore[operator]


def test_a_trace_imports_distributions_only_and_once(
    made: object, site: Path, tmp_path: Path, target: Target
) -> None:
    witness = tmp_path / "witness"
    note = f"open({str(witness)!r}, 'a').write('imported ')\n"
    install(site, "app", {"app.py": note + "try:\n    import mine\nexcept ImportError:\n    pass\n"})
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.py").write_text(f"open({str(witness)!r}, 'a').write('the user is called ')\n")
    installed = read_installed([str(own), str(site)])
    operation = operation_of("import app\n" + PLAIN, imports=["app"], files={"mine.pyc": b""})
    for _ in range(2):
        found = foreseen([operation], installed, target, Cache(tmp_path / "cache"), safe=True)
        assert [each.distribution for each in found[operation.id]] == ["app"]
    assert witness.read_text() == "imported "


def test_a_module_that_fails_to_import_spoils_no_trace(made: object, site: Path) -> None:
    install(site, "app", {"app.py": "import soft\nraise SystemExit\n"})
    install(site, "soft", {"soft.py": ""})
    install(site, "other", {"other.py": ""})
    operation = operation_of(PLAIN, imports=["app", "other"])
    assert names(made(operation, safe=True)) == ["app", "other", "soft"]  # type: ignore[operator]


@pytest.fixture
def lib(site: Path) -> Path:
    install(
        site,
        "lib",
        {"lib.py": ""},
        version="1.5",
        requires=['rust; extra == "fast"', 'gone; extra == "slow"'],
    )
    install(site, "rust", {"rust.py": ""})
    return site


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lib", ["lib"]),
        ("LIB == 1.5", ["lib"]),
        ("lib[fast]>=1", ["lib", "rust"]),
        ('lib; sys_platform == "win32"', []),
    ],
)
def test_what_the_user_adds_is_packed_as_it_is_installed(
    made: object, lib: Path, text: str, expected: list[str]
) -> None:
    assert lib
    assert names(made(operation_of(PLAIN), extra=(text,))) == expected  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lib==1.4", r"lib==1.4 is asked for, but 1\.5 is installed.*pip install 'lib==1\.4'"),
        ("lib[nope]", r"lib 1\.5 has no extra 'nope'; it has none"),
        ("lib[slow]", r"lib\[slow\] asks for what is not installed, gone: pip install 'lib\[slow\]'"),
        ("absent[x]", r"absent is asked for but not installed: pip install 'absent\[x\]'"),
        ("lib @ https://example.org/lib.whl", "names a place.*Install it, then name it: lib"),
        ("not a name!", "does not name a distribution"),
    ],
)
def test_what_the_user_adds_and_nobody_can_pack_is_refused_with_the_remedy(
    made: object, lib: Path, text: str, said: str
) -> None:
    assert lib
    with pytest.raises(MissingDistributionError, match=said):
        made(operation_of(PLAIN), extra=(text,))  # type: ignore[operator]


def test_one_operation_has_an_artifact_for_each_kind_of_inputs(made: object, site: Path) -> None:
    install(site, "frames", {"frames.py": ""})
    install(site, "arrays", {"arrays.py": ""})
    plain = operation_of("import arrays\n" + PLAIN, imports=["arrays"])
    framed = replace(plain, value_imports=("frames",))
    first, second = made(plain), made(framed)  # type: ignore[operator]
    assert (names(first), names(second)) == (["arrays"], ["arrays", "frames"])
    assert first.operation == second.operation
    assert first.digest != second.digest
    assert made(plain) == first  # type: ignore[operator]


def test_what_is_learnt_for_one_kind_of_inputs_is_not_believed_of_another(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    plain = operation_of(PLAIN)
    framed = replace(plain, value_imports=("frames",))
    learn(cache, framed, ["deep"])
    learn(cache, framed, ["deeper"])
    assert learnt(cache, framed) == {"deep", "deeper"}
    assert learnt(cache, plain) == frozenset()


def test_what_the_words_of_an_operation_bring_is_packed_and_proved(made: object, site: Path) -> None:
    install(site, "pandas", {"pandas.py": ""})
    install(site, "pyarrow", {"pyarrow.py": "import soft\n"})
    install(site, "soft", {"soft.py": ""})
    operation = operation_of(PLAIN, imports=["pandas"], words=["pyarrow"])
    assert names(made(operation)) == ["pandas", "pyarrow", "soft"]  # type: ignore[operator]
    assert names(made(replace(operation, words=("price",)))) == ["pandas", "soft"]  # type: ignore[operator]


@pytest.mark.parametrize("name", ["Real-Name", "real_name", "module"])
def test_a_distribution_whose_metadata_is_missed_is_found_by_its_name(site: Path, name: str) -> None:
    install(site, "real-name", {"module/__init__.py": "", "module/inner.py": ""})
    install(site, "mine", {"__editable___mine_finder.py": ""}, editable=True)
    assert provided([name, "nobody", "mine"], read_installed([str(site)])) == {"module"}


def test_extras_of_requirements_are_followed_to_the_end(made: object, site: Path) -> None:
    requires = ['numpy; extra == "array"', 'dask[array]; extra == "frame"', 'pandas; extra == "frame"']
    install(site, "dask", {"dask.py": ""}, requires=requires)
    for name in ("numpy", "pandas", "idle"):
        install(site, name, {f"{name}.py": ""})
    install(site, "one", {"one.py": ""}, requires=["dask[array]"])
    install(site, "two", {"two.py": ""}, requires=["Dask[Frame]>=0.1"])
    assert names(made(operation_of(PLAIN, imports=["one"]))) == ["dask", "numpy", "one"]  # type: ignore[operator]
    found = names(made(operation_of(PLAIN, imports=["two"])))  # type: ignore[operator]
    assert found == ["dask", "numpy", "pandas", "two"]


def test_what_was_learnt_is_a_note_that_reads_as_json(made: object, site: Path, tmp_path: Path) -> None:
    install(site, "app", {"app.py": "import soft\n"})
    install(site, "soft", {"soft.py": ""})
    operation = operation_of("import app\n" + PLAIN, imports=["app"], value_imports=["app"])
    assert names(made(operation)) == ["app", "soft"]  # type: ignore[operator]
    (note,) = (tmp_path / "cache" / "learnt").iterdir()
    assert json.loads(note.read_text()) == ["soft"]
